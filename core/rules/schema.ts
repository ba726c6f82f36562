import { Ajv, type ValidateFunction } from 'ajv';
import rulesSchema from '../../schema/tranship.schema.json' with { type: 'json' };
import { type Located, toPlain } from '../config/located.ts';
import type { SourceFile } from '../config/problems.ts';
import { reportSchemaErrors } from '../config/schema-errors.ts';

let validator: ValidateFunction | undefined;

/**
 * The published schema is what is checked, so an editor and the product say the same. Compiled when it is needed: that
 * takes a quarter of the command's start, and most runs have no file in this format.
 */
function compiled(): ValidateFunction {
  validator ??= new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true }).compile(rulesSchema);
  return validator;
}

/**
 * Notes everything in which the file differs from the schema of tranship.yaml, each at its place.
 * @returns true where nothing was wrong
 */
export function checkSchema(source: SourceFile, root: Located): boolean {
  const validate = compiled();
  if (validate(toPlain(root))) return true;
  reportSchemaErrors(source, { node: root, keyOffset: root.offset, name: 'the file' }, validate.errors ?? []);
  return false;
}
