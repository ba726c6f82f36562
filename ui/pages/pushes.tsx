import type { PushEventView, PushesView } from '../../core/status/view.ts';
import { useAsked } from '../live.ts';
import type { PageProps } from '../page-props.ts';
import { Badge, Empty, Head, Loaded, Name, Time, type Tone } from '../parts/basics.tsx';

export function PushesPage({ overview, change }: PageProps) {
  const asked = useAsked<PushesView>('pushes', {}, change);
  const now = overview?.at ?? Date.now();
  return (
    <>
      <Head title="Push events of the last day" />
      <Loaded asked={asked}>
        {({ events }) => {
          if (events === null) {
            return (
              <Empty title="Not kept">
                On AWS the webhook's log has every event: its service is <code>webhook</code>.
              </Empty>
            );
          }
          if (events.length === 0) {
            return (
              <Empty title="No push was announced in the last day">
                <code>tranship serve</code> takes push events; <code>tranship webhooks</code> says what to enter at a
                registry.
              </Empty>
            );
          }
          return (
            <div class="table-wrap card">
              <table class="cards-when-narrow">
                <thead>
                  <tr>
                    <th scope="col">When</th>
                    <th scope="col">Sender</th>
                    <th scope="col">Fate</th>
                    <th scope="col">What</th>
                    <th scope="col">Why</th>
                  </tr>
                </thead>
                <tbody>
                  {events.map((event, at) => (
                    <tr key={`${event.at} ${at}`}>
                      <td data-label="When">
                        <Time at={event.at} now={now} />
                      </td>
                      <td data-label="Sender">{event.sender}</td>
                      <td data-label="Fate">
                        <Badge tone={toneOf(event)}>{event.result}</Badge>
                      </td>
                      <td data-label="What">
                        <Name text={event.what} />
                      </td>
                      <td data-label="Why" class="why">
                        {[event.why, event.mend].filter((part) => part !== undefined).join('; ')}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          );
        }}
      </Loaded>
    </>
  );
}

function toneOf({ result }: PushEventView): Tone {
  if (result === 'queued' || result === 'merged') return 'good';
  return result === 'refused' || result === 'not-allowed' || result === 'malformed' ? 'bad' : 'plain';
}
