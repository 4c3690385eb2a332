# Completion of pruneflow in bash: eval "$(pruneflow completion bash)"
_pruneflow() {
    local program=$1 reply
    case $program in "~/"*) program=$HOME/${program#"~/"} ;; esac
    COMPREPLY=()
    while IFS= read -r reply; do
        COMPREPLY+=("$reply")
    done < <("$program" _complete bash "${COMP_LINE:0:COMP_POINT}" "$2" 2> /dev/null)
}
complete -o nospace -F _pruneflow pruneflow
