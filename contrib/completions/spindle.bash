# Completions of spindle for bash, installed as /usr/share/bash-completion/completions/spindle.

# Completes $1 to one of the further arguments.
_spindle_words() {
    local candidate
    for candidate in "${@:2}"; do
        [[ $candidate != "$1"* ]] || COMPREPLY+=("$candidate")
    done
}

# Completes $2 to the path of a file, or of a directory if $1 is -d.
_spindle_paths() {
    local path
    compopt -o filenames 2>/dev/null
    while IFS= read -r path; do
        COMPREPLY+=("$path")
    done < <(compgen "$1" -- "$2")
}

# Completes $2, the value of the option $1. Fails if the option takes no value.
_spindle_value() {
    case $1 in
    -b | --bind) _spindle_words "$2" localhost :: ;;
    -d | --directory) _spindle_paths -d "$2" ;;
    --listen | --admin)
        compopt -o nospace 2>/dev/null
        _spindle_words "$2" unix: fd: localhost: 127.0.0.1:
        ;;
    --unix-mode) _spindle_words "$2" 600 660 666 ;;
    --proxy-protocol | --trusted-proxy) _spindle_words "$2" unix ;;
    --uploads) _spindle_words "$2" off create replace manage ;;
    --accounts) _spindle_paths -f "$2" ;;
    --access-log)
        _spindle_paths -f "$2"
        _spindle_words "$2" -
        ;;
    --link-key) _spindle_paths -f "$2" ;;
    --user)
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -u -- "$2")
        ;;
    --sandbox) _spindle_words "$2" on off kill ;;
    --log-format) _spindle_words "$2" combined json ;;
    -p | --port | --shutdown-delay | --max-upload | --upload-max-age | --uploads-pending | --host | --head-timeout | \
        --idle-timeout | --connections-per-address | --rate) ;;
    *) return 1 ;;
    esac
}

# Completes the arguments of the command link.
_spindle_link() {
    case $2 in
    --new-key | --key) _spindle_paths -f "$1" ;;
    --expires | --max) ;;
    *) _spindle_words "$1" --new-key --key --read --create --expires --max -h --help http:// ;;
    esac
}

_spindle() {
    local options='-b --bind -p --port --listen --unix-mode --reuse-port --admin --shutdown-delay --proxy-protocol
        --trusted-proxy -d --directory --uploads --max-upload --upload-max-age --uploads-pending --fsync --site --no-list
        --hidden --qr --host --accounts --link-key --user --sandbox --no-date --strict --head-timeout --idle-timeout
        --connections-per-address --rate --access-log --log-format -v --verbose -q --quiet -h --help -V --version'
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} index
    COMPREPLY=()
    if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} == link ]]; then
        _spindle_link "$word" "$before"
        return
    fi
    if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} == account ]]; then
        ((COMP_CWORD != 3)) || _spindle_words "$word" read create replace manage read,create read,replace read,manage
        return
    fi
    # bash splits words at = and :, so --uploads=create has three words, and so has unix:/run/socket.
    if [[ $word == = || $word == : ]]; then
        before=$word
        word=
        index=$((COMP_CWORD - 1))
    else
        index=$((COMP_CWORD - 2))
    fi
    if [[ $before == : && ${COMP_WORDS[index]} == unix ]]; then
        _spindle_paths -f "$word"
        return
    fi
    if [[ $before == = ]]; then
        _spindle_value "${COMP_WORDS[index]}" "$word"
        return
    fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        if [[ ${COMP_WORDS[index]} == -- ]]; then
            _spindle_paths -d "$word"
            return
        fi
    done
    if _spindle_value "$before" "$word"; then
        return
    fi
    ((COMP_CWORD > 1)) || _spindle_words "$word" link
    if [[ $word == -* ]]; then
        # shellcheck disable=SC2086 # One argument for each option.
        _spindle_words "$word" $options
    else
        _spindle_paths -d "$word"
        ((COMP_CWORD > 1)) || _spindle_words "$word" account
    fi
}

complete -F _spindle spindle
