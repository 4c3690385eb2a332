# Completion of pruneflow in fish: pruneflow completion fish | source
function __pruneflow_complete
    set -l words (commandline -opc)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q $program; or return
    set -l current (commandline -ct | string unescape)
    $program _complete fish $words[2..-1] "$current" 2>/dev/null
end
complete -c pruneflow -f -a '(__pruneflow_complete)'
