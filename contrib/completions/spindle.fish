# Completions of spindle for fish, installed as /usr/share/fish/vendor_completions.d/spindle.fish.

# An address with a port, the path of a Unix socket, or an inherited socket.
function __spindle_where
    set -l word (commandline --current-token | string replace --regex '^--[a-z]+=' '')
    if string match --quiet 'unix:*' -- $word
        printf 'unix:%s\n' (__fish_complete_path (string replace 'unix:' '' -- $word))
    else
        printf '%s\n' unix:\t'the path of a Unix socket' fd:\t'an inherited socket' localhost: 127.0.0.1:
    end
end

# The operand: the folder to share. Options that take a value are given theirs by the lines below.
complete -c spindle -f -a '(__fish_complete_directories)'

complete -c spindle -s b -l bind -x -a 'localhost\t"this machine only" ::\t"all addresses"' -d 'Listen on this address'
complete -c spindle -s p -l port -x -d 'Listen on this port; 0 picks a free one'
complete -c spindle -l listen -x -a '(__spindle_where)' -d 'Listen there instead of on --bind and --port'
complete -c spindle -l unix-mode -x -a '600 660 666' -d 'The permissions of the Unix sockets'
complete -c spindle -l reuse-port -d 'Share the TCP port with other processes'
complete -c spindle -l admin -x -a '(__spindle_where)' -d 'Serve metrics and health there'
complete -c spindle -l shutdown-delay -x -d 'Seconds to go on after SIGTERM'
complete -c spindle -l proxy-protocol -x -a unix -d 'Connections from there begin with a PROXY protocol header'
complete -c spindle -l trusted-proxy -x -a unix -d 'Believe requests from there about their clients'
complete -c spindle -s d -l directory -x -a '(__fish_complete_directories)' -d 'Serve this directory at /files/'
complete -c spindle -l uploads -x -d 'Which changes others may make' -a 'off\t"none"
    create\t"add files, but never replace one"
    replace\t"add and replace files"
    manage\t"also delete and move files, and create directories"'
complete -c spindle -l max-upload -x -d 'Refuse longer files; bytes, or with K, M, G or T'
complete -c spindle -l upload-max-age -x -d 'Seconds to keep an unfinished upload'
complete -c spindle -l uploads-pending -x -d 'Keep at most so many unfinished uploads'
complete -c spindle -l fsync -d 'Confirm an upload only after it is flushed to the disk'
complete -c spindle -l site -d 'Serve the folder as a web site'
complete -c spindle -l no-list -d 'Serve the folder as a drop box'
complete -c spindle -l hidden -d 'Also serve names that begin with a dot'
complete -c spindle -l qr -d 'Print the address as a QR code'
complete -c spindle -l host -x -a '(__fish_print_hostnames)' -d 'Also serve this host name'
complete -c spindle -l accounts -r -F -d 'Let others do only what this file says'
complete -c spindle -l link-key -r -F -d 'Accept links signed by the keys in this file'
complete -c spindle -l user -x -a '(__fish_complete_users)' -d 'As root: become this user'
complete -c spindle -l sandbox -x -d 'How the process is confined' -a 'on\t"refuse what it does not need"
    off\t"not at all"
    kill\t"also end it at a refused system call"'
complete -c spindle -l no-date -d 'Send no Date field'
complete -c spindle -l strict -d 'Refuse requests without Host and unusual targets'
complete -c spindle -l head-timeout -x -d 'Seconds for the whole head of a request'
complete -c spindle -l idle-timeout -x -d 'Seconds to wait for a request'
complete -c spindle -l connections-per-address -x -d 'Most connections of an address'
complete -c spindle -l rate -x -d 'Most bytes a second of a connection'
complete -c spindle -l access-log -r -F -a '-\t"standard output"' -d 'Append a line for each request to this file'
complete -c spindle -l log-format -x -a 'combined json' -d 'The format of the logs'
complete -c spindle -s v -l verbose -d 'Log each request and its response'
complete -c spindle -s q -l quiet -d 'Log errors only'
complete -c spindle -s h -l help -d 'Print a summary of the options'
complete -c spindle -s V -l version -d 'Print the version'
complete -c spindle -n __fish_is_first_token -a account -d 'Make an account'
complete -c spindle -n '__fish_seen_subcommand_from account' -x -a 'read create replace manage' -d 'A right'

# The command link. Its options are listed as words, because they exist nowhere else.
set -l link 'test (count (commandline --tokenize --cut-at-cursor)) -ge 2; and test (commandline --tokenize)[2] = link'
complete -c spindle -n 'test (count (commandline --tokenize --cut-at-cursor)) -eq 1' -f -a link -d 'Make a link that lets others in'
complete -c spindle -n $link -f -a '--new-key --key --read --create --expires --max --help'
