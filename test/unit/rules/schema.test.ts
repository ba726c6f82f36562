import { toJsonSchema } from '@valibot/to-json-schema';
import { expect, it } from 'vitest';
import { rulesFileParts, rulesFileSchema } from '../../../core/rules/schema.ts';

it('is published for editors as it is checked (npm run schema writes the file)', async () => {
  const published = toJsonSchema(rulesFileSchema, { definitions: rulesFileParts, typeMode: 'output' });
  await expect(`${JSON.stringify(published, null, 2)}\n`).toMatchFileSnapshot('../../../schema/tranship.schema.json');
});
