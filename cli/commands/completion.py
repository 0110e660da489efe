"""Print the shell's completion of ./pipeline's commands and options.

\b
bash: eval "$(./pipeline completion bash)"
zsh:  eval "$(./pipeline completion zsh)"
fish: ./pipeline completion fish | source
"""  # noqa: D301  click reads \b: lines that it does not wrap

import click

# The shell calls the command line being typed with _PIPELINE_COMPLETE set, and click answers
# (https://click.palletsprojects.com/shell-completion/). Click's own scripts look `pipeline` up
# on PATH; these run the command as typed, since ./pipeline is not on PATH.
_BASH = """\
_pipeline_completion() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
        dir) compopt -o dirnames ;;
        file) compopt -o default ;;
        plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        _PIPELINE_COMPLETE=bash_complete "$1" 2>/dev/null)
}
complete -F _pipeline_completion pipeline
"""
_ZSH = """\
#compdef pipeline
_pipeline_completion() {
    local type key description
    local -a plain described
    while IFS= read -r type && IFS= read -r key && IFS= read -r description; do
        case $type in
        dir) _path_files -/ ;;
        file) _path_files -f ;;
        plain)
            if [[ $description == _ ]]; then
                plain+=("$key")
            else
                described+=("${key//:/\\\\:}:$description")
            fi
            ;;
        esac
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \\
        _PIPELINE_COMPLETE=zsh_complete "${words[1]}" 2>/dev/null)
    [[ -n $described ]] && _describe -V unsorted described -U
    [[ -n $plain ]] && compadd -U -V unsorted -a plain
}
compdef _pipeline_completion pipeline
"""
_FISH = """\
function _pipeline_completion
    set -l words (commandline -opc)
    for line in (env COMP_WORDS=(commandline -cp | string collect) COMP_CWORD=(commandline -t) \\
            _PIPELINE_COMPLETE=fish_complete $words[1] 2>/dev/null)
        set -l part (string split -m 1 , -- $line)
        switch $part[1]
            case dir
                __fish_complete_directories (commandline -t)
            case file
                __fish_complete_path (commandline -t)
            case plain
                echo $part[2]
        end
    end
end
complete --no-files --command pipeline --arguments '(_pipeline_completion)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command(help=__doc__)
@click.argument("shell", type=click.Choice(list(_SCRIPTS)))
def command(shell: str) -> None:
    click.echo(_SCRIPTS[shell], nl=False)
