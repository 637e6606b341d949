//! The help.

/// What `--help` prints.
pub const USAGE: &str = "\
Spindle shares a folder over HTTP/1.1 and takes uploads.

Usage: spindle [OPTIONS] DIR    share the folder DIR at /
       spindle [OPTIONS]        the build-your-own-HTTP-server challenge:
                                /echo/, /user-agent, and with -d also /files/
       spindle account NAME RIGHTS
                                make an account: print its line and its secret
       spindle link --help      make links that let others in for a while

Examples:
  spindle ~/photos              only this machine can read the folder
  spindle --bind :: ~/photos    everybody on your network can read it
  spindle --bind :: --uploads create ~/inbox
                                they can also add files, but not replace any
  spindle --bind :: --uploads create --no-list ~/inbox
                                they can add files, but not see any
  spindle account alice read,create >> accounts
  spindle --accounts accounts ~/files
                                Alice, and nobody else, can read and add files

Address:
  -b, --bind ADDRESS     listen on localhost (127.0.0.1 and ::1), on one IP
                         address, or on :: (all addresses, IPv4 included); a
                         link-local address names its interface, as in
                         fe80::1%eth0 [default: localhost]
  -p, --port PORT        listen on this port; 0 picks a free one [default: 4221]
      --listen WHERE     listen there instead of on --bind and --port: on
                         ADDRESS:PORT, on the Unix socket unix:PATH, or on the
                         inherited sockets fd:NAME or fd:3; may be repeated
      --unix-mode MODE   the permissions of the Unix sockets [default: 666]
      --reuse-port       share the TCP port with other processes that give this
                         option; the system distributes the connections

Administration:
      --admin WHERE      serve /metrics (for Prometheus), /healthz and /readyz
                         there, and nowhere else; WHERE as for --listen
      --shutdown-delay S
                         after SIGTERM, respond 503 at /readyz and go on for S
                         seconds before the shutdown begins [default: 0]

Behind a proxy:
      --proxy-protocol FROM
                         connections from FROM (an IP address, a network such
                         as 10.0.0.0/8, or unix) begin with a PROXY protocol
                         header, which names the client; may be repeated
      --trusted-proxy FROM
                         believe requests from FROM about their clients'
                         addresses (Forwarded, X-Forwarded-For); may be repeated

Files:
  -d, --directory DIR    serve the files below this directory at /files/, under
                         every host name, names that begin with a dot included
      --uploads MODE     off, create (add files, but never replace one), replace
                         (add and replace files), or manage (also delete and
                         move files, and create directories)
                         [default: off with DIR, replace with --directory, and
                         what FILE says with --accounts FILE]
      --max-upload SIZE  refuse longer files; SIZE is a number of bytes, and
                         may end in K, M, G or T (powers of 1024)
                         [default: no limit]
      --upload-max-age S
                         seconds to keep an unfinished resumable upload after
                         its last byte [default: 86400, a day]
      --uploads-pending N
                         keep at most N unfinished resumable uploads
                         [default: 1000]
      --fsync            confirm an upload only after it is flushed to the disk

Shared folder (with DIR):
      --site             serve DIR as a web site: index.html instead of a
                         listing, 404.html, precompressed files (.br, .zst,
                         .gz), scripts allowed; not together with uploads
      --no-list          serve DIR as a drop box: others can add files, as
                         --uploads says, but neither list nor download any
      --hidden           also serve names that begin with a dot
      --qr               print the address as a QR code, for a phone's camera
      --host NAME        also serve this host name, besides IP addresses,
                         localhost and this machine's name; '*' serves every
                         name; may be repeated; without DIR, for --admin

Who may come in (with DIR):
      --accounts FILE    let others do only what FILE says: NAME RIGHTS HASH for
                         each account, as spindle account prints it, and
                         * RIGHTS for everybody; RIGHTS is a list of read,
                         create, replace and manage, of which --uploads is the
                         upper bound; SIGHUP reads FILE again
      --link-key FILE    accept links signed by the keys in FILE, which 'spindle
                         link' makes; SIGHUP reads FILE again

Confinement:
      --user NAME        as root: become this user once the addresses are
                         open, and give up all privileges
      --sandbox MODE     on: the server can open no file but its own, start no
                         program and make no connection, as far as the kernel
                         can enforce that; kill: a system call that it never
                         needs also ends it; off [default: on]

Protocol:
      --no-date          send no Date field
      --strict           refuse HTTP/1.1 requests without Host, and targets
                         outside the URI grammar
      --head-timeout S   seconds for the whole head of a request [default: 10]
      --idle-timeout S   seconds to wait for a request [default: 60]

Limits:
      --connections-per-address N
                         allow an IP address, or an IPv6 network (/64), only N
                         connections at a time; a further one replaces an idle
                         one, or else gets a 503 [default: no limit]
      --rate SIZE        send and receive at most SIZE bytes a second on each
                         connection; SIZE as for --max-upload
                         [default: no limit]

Output:
      --access-log FILE  append a line for each request to FILE, or write it to
                         standard output if FILE is -; SIGHUP opens FILE anew
      --log-format FORMAT
                         of the access log: combined (as Apache and nginx) or
                         json, which also applies to the messages on standard
                         error [default: combined]
  -v, --verbose          log each request and its response to standard error;
                         with -vv also the states of each connection
  -q, --quiet            log errors only [default: warnings, errors and
                         what SIGHUP has read again]
  -h, --help             print this help
  -V, --version          print the version

To stop the server, press Ctrl-C or send SIGTERM. Responses and uploads in
progress get up to 10 seconds to finish. A second signal stops it at once.
";
