import type { RegistriesView } from '../../core/status/view.ts';
import { useAsked } from '../live.ts';
import type { PageProps } from '../page-props.ts';
import { Badge, Card, Empty, Head, Loaded, Time } from '../parts/basics.tsx';

export function RegistriesPage({ overview, change }: PageProps) {
  const asked = useAsked<RegistriesView>('registries', {}, change);
  const now = overview?.at ?? Date.now();
  return (
    <>
      <Head title="Registries" />
      <Loaded asked={asked}>
        {({ registries, rulesKnown }) => (
          <>
            {registries.length === 0 ? (
              <Empty title="No registry is parked">
                {rulesKnown ? 'No rule names one.' : 'Which registries there are is known with a rules file (--rules).'}
              </Empty>
            ) : (
              <ul class="rows card">
                {registries.map(({ name, isSource, isDestination, park }) => (
                  <li key={name}>
                    {park === null ? <Badge tone="good">open</Badge> : <Badge tone="warn">parked</Badge>}
                    <strong class="name">{name}</strong>
                    <span class="dim">
                      {[isSource ? 'source' : '', isDestination ? 'destination' : '']
                        .filter((one) => one !== '')
                        .join(', ')}
                    </span>
                    {park !== null && (
                      <span>
                        {park.reason}; asked again <Time at={park.until} now={now} />
                      </span>
                    )}
                  </li>
                ))}
              </ul>
            )}
            <Card title="Quota" id="quota">
              <p class="dim">
                Not kept. A registry whose quota is spent says so, and is parked until the time that it names: no worker
                asks it until then.
              </p>
            </Card>
          </>
        )}
      </Loaded>
    </>
  );
}
