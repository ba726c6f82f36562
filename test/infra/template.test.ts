import { describe, expect, it } from 'vitest';
import { synthesise } from '../support/synth.ts';

describe('the template', () => {
  it('changes only on purpose', () => {
    const text = JSON.stringify(synthesise({ email: 'ops@example.com' }).toJSON(), null, 2);
    // Code changes all the time, and the hashes of it with it.
    const masked = text.replace(/"[0-9a-f]{64}\.zip"/g, '"<hash>.zip"');
    expect(JSON.parse(masked).Resources).toMatchSnapshot();
  });
});
