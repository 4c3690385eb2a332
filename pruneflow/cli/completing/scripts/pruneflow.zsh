# Completion of pruneflow in zsh: source <(pruneflow completion zsh)
_pruneflow() {
    local program=${~${(Q)words[1]}} current=${(Q)PREFIX} answer word what stem
    local -a whole parts
    stem=${(M)current##*[=.,/]}
    compset -P '*[=.,/]'
    for answer in "${(@f)$("$program" _complete zsh "${(@Q)words[2,CURRENT-1]}" "$current" 2> /dev/null)}"; do
        word=${${answer%%$'\t'*}[$#stem+1,-1]}
        what=${${(M)answer%%$'\t'*}#$'\t'}
        [[ -n $word ]] || continue
        word=${${word//\\/\\\\}//:/\\:}${what:+:$what}
        if [[ ${answer%%$'\t'*} == *[=./] ]]; then parts+=("$word"); else whole+=("$word"); fi
    done
    _describe -t values value whole -- parts -S ''
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _pruneflow pruneflow
