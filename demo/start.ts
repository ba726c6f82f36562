/** `npm start`: the demonstration without arguments, the command itself with them. */
await import(process.argv.length > 2 ? '../cli/main.ts' : './main.ts');
