import { type Command, commands, type FlagDefinition, flagsOf, type Shell, shells } from './flags.ts';

/** A script for a shell that completes commands, their flags and the values of flags. */
export function renderCompletion(shell: Shell): string {
  switch (shell) {
    case 'bash':
      return bashScript();
    case 'zsh':
      return zshScript();
    case 'fish':
      return fishScript();
  }
}

const commandNames = Object.keys(commands) as Command[];
/** Words after the command, for those that take one from a list. */
const commandWords: Partial<Record<Command, readonly string[]>> = { completion: shells, help: commandNames };

function bashScript(): string {
  const byValue = flagsOf();
  const pattern = (flags: FlagDefinition[]) =>
    flags.flatMap(({ name, short }) => [`--${name}`, ...(short ? [`-${short}`] : [])]).join('|');
  const files = byValue.filter(({ value }) => value === 'FILE');
  const directories = byValue.filter(({ value }) => value === 'DIR');
  const choices = byValue.filter((flag) => flag.choices !== undefined);
  const others = byValue.filter(
    (flag) => flag.kind !== 'bool' && !files.includes(flag) && !directories.includes(flag) && !choices.includes(flag),
  );
  const cases = [
    `    ${pattern(files)}) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;`,
    `    ${pattern(directories)}) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;`,
    ...choices.map(
      (flag) => `    ${pattern([flag])}) COMPREPLY=($(compgen -W "${flag.choices?.join(' ')}" -- "$cur")); return ;;`,
    ),
    `    ${pattern(others)}) return ;;`,
  ];
  return `# bash completion of tranship
_tranship() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev= command= word at
  COMPREPLY=()
  ((COMP_CWORD > 0)) && prev=\${COMP_WORDS[COMP_CWORD - 1]}
  # readline takes --flag=value apart at the =.
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    case $word in ${commandNames.join('|')}) command=$word; break ;; esac
  done
  case $prev in
${cases.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case $command in
${commandNames.map((name) => `      ${name}) COMPREPLY=($(compgen -W "${flagWords(name)}" -- "$cur")) ;;`).join('\n')}
      *) COMPREPLY=($(compgen -W "${flagWords('sync')}" -- "$cur")) ;;
    esac
    return
  fi
  case $command in
    '') COMPREPLY=($(compgen -W "${commandNames.join(' ')}" -- "$cur")) ;;
${Object.entries(commandWords)
  .map(([name, words]) => `    ${name}) COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$cur")) ;;`)
  .join('\n')}
  esac
}
complete -F _tranship tranship
`;
}

function flagWords(command: Command): string {
  return [...flagsOf(command).map(({ name }) => `--${name}`), '--help'].join(' ');
}

function zshScript(): string {
  const described = commandNames.map((name) => `    ${zshQuote(`${name}:${commands[name]}`)}`).join('\n');
  const branch = (name: Command) => {
    const words = commandWords[name];
    const specs = [...flagsOf(name).map(zshSpec), "'(-h --help)'{-h,--help}'[explain]'"];
    if (words !== undefined) specs.push(zshQuote(`2:word:(${words.join(' ')})`));
    return specs.map((spec) => `        ${spec}`).join(' \\\n');
  };
  return `#compdef tranship
# zsh completion of tranship
_tranship() {
  local -a commands=(
${described}
  )
  local command=sync word
  for word in \${words[2,CURRENT-1]}; do
    if (( \${commands[(I)$word:*]} )); then command=$word; break; fi
  done
  case $command in
${commandNames.map((name) => `    ${name})\n      _arguments -s \\\n        '1:command:{_describe command commands}' \\\n${branch(name)}\n      ;;`).join('\n')}
  esac
}
compdef _tranship tranship
`;
}

function zshSpec(flag: FlagDefinition): string {
  const repeat = flag.kind === 'list' ? '*' : '';
  const help = flag.help.replace(/[[\]\\:]/g, '\\$&');
  const value = flag.kind === 'bool' ? '' : `:${flag.value ?? flag.name}:${zshAction(flag)}`;
  const long = `--${flag.name}${flag.kind === 'bool' ? '' : '='}`;
  if (flag.short === undefined) return zshQuote(`${repeat}${long}[${help}]${value}`);
  const short = `-${flag.short}${flag.kind === 'bool' ? '' : '+'}`;
  return `'(-${flag.short} --${flag.name})'{${short},${long}}${zshQuote(`[${help}]${value}`)}`;
}

function zshAction(flag: FlagDefinition): string {
  if (flag.choices !== undefined) return `(${flag.choices.join(' ')})`;
  if (flag.value === 'FILE') return '_files';
  return flag.value === 'DIR' ? '_files -/' : ' ';
}

function zshQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishScript(): string {
  const names = commandNames.join(' ');
  const isCommand = (name: Command) =>
    name === 'sync'
      ? `__fish_seen_subcommand_from sync; or not __fish_seen_subcommand_from ${names}`
      : `__fish_seen_subcommand_from ${name}`;
  const lines = [
    '# fish completion of tranship',
    'complete -c tranship -f',
    ...commandNames.map(
      (name) =>
        `complete -c tranship -n 'not __fish_seen_subcommand_from ${names}' -a ${name} -d ${fishQuote(commands[name])}`,
    ),
    ...Object.entries(commandWords).map(
      ([name, words]) =>
        `complete -c tranship -n '__fish_seen_subcommand_from ${name}' -a ${fishQuote(words.join(' '))}`,
    ),
    "complete -c tranship -s h -l help -d 'explain'",
    ...commandNames.flatMap((name) =>
      flagsOf(name).map((flag) => `complete -c tranship -n ${fishQuote(isCommand(name))} ${fishFlag(flag)}`),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function fishFlag(flag: FlagDefinition): string {
  const parts = [flag.short && `-s ${flag.short}`, `-l ${flag.name}`];
  if (flag.value === 'FILE') parts.push('-r -F');
  else if (flag.value === 'DIR') parts.push("-x -a '(__fish_complete_directories)'");
  else if (flag.choices !== undefined) parts.push(`-x -a ${fishQuote(flag.choices.join(' '))}`);
  else if (flag.kind !== 'bool') parts.push('-x');
  return [...parts, `-d ${fishQuote(flag.help)}`].filter(Boolean).join(' ');
}

/** fish knows two escapes within single quotes. */
function fishQuote(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`;
}
