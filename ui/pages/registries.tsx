import { formatCount, formatDuration } from '../../core/status/format.ts';
import type { RegistriesView, RegistryView } from '../../core/status/view.ts';
import { useAsked } from '../live.ts';
import type { PageProps } from '../page-props.ts';
import { Badge, Bar, Card, Empty, Head, Loaded, Time, type Tone } from '../parts/basics.tsx';
import { linkTo } from '../route.ts';

export function RegistriesPage({ overview, change }: PageProps) {
  const asked = useAsked<RegistriesView>('registries', {}, change);
  const now = overview?.at ?? Date.now();
  return (
    <>
      <Head title="Registries" />
      <Loaded asked={asked}>
        {({ registries, rulesKnown, budgets }) => (
          <>
            {registries.length === 0 ? (
              <Empty title="No registry is parked">
                {rulesKnown ? 'No rule names one.' : 'Which registries there are is known with a rules file (--rules).'}
              </Empty>
            ) : (
              <ul class="rows beside card">
                {registries.map((registry) => (
                  <RegistryRow key={registry.name} registry={registry} now={now} />
                ))}
              </ul>
            )}
            <Card title="Budgets of rules" id="budgets">
              {budgets.length === 0 ? (
                <p class="dim">
                  No rule with <code>pulls</code> has pulled lately.
                </p>
              ) : (
                budgets.map(({ ruleId, pulls, left, windowMs }) => (
                  <div key={ruleId} class="progress">
                    <div class="progress-head">
                      <a class="name" href={linkTo('rule', { id: ruleId })}>
                        {ruleId}
                      </a>
                      <span>
                        {formatCount(left)} of {formatCount(pulls)} pulls left in {formatDuration(windowMs)}
                      </span>
                    </div>
                    <Bar parts={[[toneOf(left, pulls), left]]} total={pulls} label={`${left} of ${pulls} pulls left`} />
                  </div>
                ))
              )}
            </Card>
          </>
        )}
      </Loaded>
    </>
  );
}

function RegistryRow({ registry, now }: { registry: RegistryView; now: number }) {
  const { name, isSource, isDestination, park, quota } = registry;
  const roles = [isSource ? 'source' : '', isDestination ? 'destination' : ''].filter((one) => one !== '');
  return (
    <li>
      {park === null ? <Badge tone="good">open</Badge> : <Badge tone="warn">parked</Badge>}
      <div class="grow">
        <strong class="name">{name}</strong> <span class="dim">{roles.join(', ')}</span>
        {park !== null && (
          <div>
            {park.reason}; asked again <Time at={park.until} now={now} />
          </div>
        )}
        {quota !== null && (
          <div class="quota">
            <Bar
              parts={[[toneOf(quota.remaining, quota.limit), quota.remaining]]}
              total={quota.limit}
              label={`${quota.remaining} of ${quota.limit} pulls left`}
            />
            <span class="dim">
              {formatCount(quota.remaining)} of {formatCount(quota.limit)} pulls left in{' '}
              {formatDuration(quota.windowMs)}, as it said <Time at={quota.at} now={now} />
            </span>
          </div>
        )}
      </div>
    </li>
  );
}

function toneOf(left: number, all: number): Tone {
  if (left === 0) return 'bad';
  return left * 5 < all ? 'warn' : 'good';
}
