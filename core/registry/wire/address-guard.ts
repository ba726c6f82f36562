import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { lookup as lookupAddress } from 'node:dns/promises';
import { BlockList, isIP, isIPv4, type LookupFunction } from 'node:net';
import { TranshipError } from '../../model/errors.ts';

/**
 * Where an address leads: the world, this network, this machine, or this link (where clouds keep their metadata
 * service).
 */
export type AddressKind = 'public' | 'private' | 'loopback' | 'link-local';

// IANA IPv4 and IPv6 Special-Purpose Address Registries.
const privateNets = blockList([
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['192.0.0.0', 24],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
  ['fc00::', 7],
  ['fec0::', 10],
  ['ff00::', 8],
]);
const loopbackNets = blockList([
  ['127.0.0.0', 8],
  ['0.0.0.0', 8],
  ['::1', 128],
  ['::', 128],
]);
// fd00:ec2::254 is AWS's metadata service over IPv6; 100.100.100.200 is Alibaba's, 168.63.129.16 Azure's.
const linkLocalNets = blockList([
  ['169.254.0.0', 16],
  ['fe80::', 10],
  ['fd00:ec2::', 32],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
]);

function blockList(nets: Array<[string, number]>): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of nets) list.addSubnet(net, prefix, isIPv4(net) ? 'ipv4' : 'ipv6');
  return list;
}

/**
 * Kind of an IP address in text form, without brackets. IPv4 inside IPv6 (mapped, NAT64) counts as the IPv4 address.
 */
export function addressKind(address: string): AddressKind {
  const plain = embeddedIPv4(address) ?? address;
  const family = isIPv4(plain) ? 'ipv4' : 'ipv6';
  if (linkLocalNets.check(plain, family)) return 'link-local';
  if (loopbackNets.check(plain, family)) return 'loopback';
  return privateNets.check(plain, family) ? 'private' : 'public';
}

/** The last 32 bits of ::ffff:0:0/96 (RFC 4291), ::/96 (deprecated there) and 64:ff9b::/96 (RFC 6052). */
function embeddedIPv4(address: string): string | undefined {
  if (isIPv4(address)) return undefined;
  // The URL parser writes every IPv6 address in one form.
  const canonical = URL.parse(`http://[${address.split('%', 1)[0]}]`)?.hostname.slice(1, -1);
  const match = /^(?:::ffff:|64:ff9b::|::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical ?? '');
  if (match === null) return undefined;
  const [high, low] = [Number.parseInt(match[1] ?? '', 16), Number.parseInt(match[2] ?? '', 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** Kind of a URL's host where that can be told without DNS. */
export function literalKind(hostname: string): AddressKind | undefined {
  const bare = bareHost(hostname);
  if (isIP(bare) !== 0) return addressKind(bare);
  return bare === 'localhost' || bare.endsWith('.localhost') ? 'loopback' : undefined;
}

/** `[::1]` of a URL as `::1`; a final dot is left out, it names the same host. */
export function bareHost(hostname: string): string {
  return hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

/**
 * May what a registry at `home` says send us to an address of kind `target`? The world always; else only to where the
 * registry itself is, or from this machine out to its network.
 */
export function mayLeadTo(home: AddressKind, target: AddressKind): boolean {
  return target === 'public' || target === home || (home === 'loopback' && target === 'private');
}

/**
 * Where the registry itself is, by DNS if need be; the most public of its addresses counts. A name that only a proxy
 * can resolve counts as public: such a registry may lead to no inner address.
 */
async function homeKind(hostname: string): Promise<AddressKind> {
  const literal = literalKind(hostname);
  if (literal !== undefined) return literal;
  const found = await lookupAddress(bareHost(hostname), { all: true }).catch(() => undefined);
  if (found === undefined) return 'public';
  const kinds = found.map(({ address }) => addressKind(address));
  return (['public', 'private', 'loopback'] as const).find((kind) => kinds.includes(kind)) ?? 'link-local';
}

/**
 * Checks a host that a registry named, where it is an IP address; names are checked by {@link guardedLookup} when they
 * are resolved.
 * @throws TranshipError `unsafe`, permanent
 */
export async function checkLiteralHost(registryHost: string, hostname: string): Promise<void> {
  const kind = literalKind(hostname);
  if (kind === undefined || kind === 'public') return;
  if (!mayLeadTo(await homeKind(registryHost), kind)) throw refused(hostname, kind);
}

/**
 * A `lookup` for sockets that refuses names which resolve to an address that {@link mayLeadTo} forbids. The socket
 * connects to the addresses that were checked, so DNS cannot change its mind in between.
 */
export function guardedLookup(registryHost: string, exempt: (hostname: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    const all: LookupOptions & { all: true } = { ...options, all: true };
    dnsLookup(hostname, all, (error, found) => {
      if (error !== null) return callback(error, []);
      checkAddresses(registryHost, hostname, found, exempt).then(
        () => {
          const [first] = found;
          if (options.all === true || first === undefined) callback(null, found);
          else callback(null, first.address, first.family);
        },
        (refusal: Error) => callback(refusal, []),
      );
    });
  };
}

async function checkAddresses(
  registryHost: string,
  hostname: string,
  found: LookupAddress[],
  exempt: (hostname: string) => boolean,
): Promise<void> {
  const kinds = found.map(({ address }) => addressKind(address)).filter((kind) => kind !== 'public');
  if (kinds.length === 0 || exempt(hostname)) return;
  const home = await homeKind(registryHost);
  const bad = kinds.find((kind) => !mayLeadTo(home, kind));
  if (bad !== undefined) throw refused(hostname, bad);
}

function refused(hostname: string, kind: AddressKind): TranshipError {
  return new TranshipError(`it leads to ${hostname}, a ${kind} address, where the registry itself is not`, {
    class: 'permanent',
    code: 'unsafe',
    mend: `if that is meant, allow it with --allow-realm ${hostname}`,
  });
}
