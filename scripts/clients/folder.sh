# shellcheck shell=bash
# Reads a shared folder with common clients. Sourced by clients.sh, whose functions it uses.

folder_clients=(curl python3 wget rclone git ffmpeg pip apt cargo)

# Names that need care in HTML, in a URL, or in a shell.
hostile_names=('plain' 'a space' '100% sure' 'a%20b' 'number #1' 'why?' 'why?download' 'a&amp;b' '[brackets] {braces}' "it's" '"quoted"'
    '<b>bold' 'a;b=c' 'a+b' 'a\b' 'colon: http:' '~tilde' 'ümläut ≠ 漢字 🙂' $'not UTF-8 \xff\xfe' $'e\u0301' '-rf' 'index.htm')

# make_tree DIRECTORY: a small tree whose files and directories have hostile names.
make_tree() {
    local name
    mkdir -p "$1/deep/er/est" "$1/empty file"
    for name in "${hostile_names[@]}"; do
        printf 'content of %s\n' "$name" >"$1/$name"
        mkdir "$1/in $name"
        random_file "$1/in $name/$name" $((RANDOM + 1))
    done
    random_file "$1/deep/er/est/large" 3000001
    : >"$1/empty file/empty"
    # A time in the past, so that a client that does not keep the times is noticed.
    find "$1" -exec touch -d '2020-02-29 12:34:56' {} +
}

# share NAME OPTIONS…: starts a server that shares $work/NAME, and sets $base.
share() {
    start_server "$1" '' "${@:2}" "$work/$1"
}

same_tree() {
    diff -r -- "$1" "$2"
}

# --- curl and tar -------------------------------------------------------------------------------------------------------

tar_unpacks() {
    fresh unpacked
    timeout "$client_seconds" curl -sS --fail "$base/?archive=tar" </dev/null | tar -C "$work/unpacked" -xf - || return 1
    same_tree "$work/tree" "$work/unpacked/tree" || return 1
    equal "$(stat -c %Y "$work/tree/plain")" "$(stat -c %Y "$work/unpacked/tree/plain")"
}

tar_unpacks_one_directory() {
    fresh unpacked
    timeout "$client_seconds" curl -sS --fail "$base/deep/er/?archive=tar" </dev/null | tar -C "$work/unpacked" -xf - || return 1
    same_tree "$work/tree/deep/er" "$work/unpacked/er"
}

# The text listing has one percent-encoded name a line, which can be appended to the URL unchanged.
loop_fetches() {
    fresh loop
    local name
    for name in $(run curl -sS --fail "$base/?format=text"); do
        [[ $name != */ ]] || continue
        # shellcheck disable=SC2059 # The name is the format, so that printf decodes its percent-encoded bytes.
        run curl -sS --fail -o "$work/loop/$(printf -- "${name//%/\\x}")" "$base/$name" || return 1
    done
    (cd "$work/tree" && find . -maxdepth 1 -type f -exec cp -- {} "$work/flat/" \;)
    same_tree "$work/flat" "$work/loop"
}

# Follows every href of the JSON listings.
json_reader=$(
    cat <<'PYTHON'
import json, os, sys, urllib.request

base, top, into = sys.argv[1:]


def walk(url, path):
    listing = json.load(urllib.request.urlopen(url + "?format=json", timeout=30))
    for entry in listing["entries"]:
        name = urllib.parse.unquote_to_bytes(entry["href"]).rstrip(b"/")
        assert entry["name"] == name.decode(errors="replace"), entry
        below = os.path.join(path, name)
        if entry["type"] == "directory":
            os.mkdir(below)
            walk(url + entry["href"], below)
        else:
            content = urllib.request.urlopen(url + entry["href"], timeout=30).read()
            assert len(content) == entry["size"], entry
            assert entry["modified"] == "2020-02-29T12:34:56Z", entry
            open(below, "wb").write(content)


walk(base + "/", into.encode())
PYTHON
)

python_walks() {
    fresh json
    run python3 -c "$json_reader" "$base" "$work/tree" "$work/json" && same_tree "$work/tree" "$work/json"
}

# A form with every file of the tree's top whose name has no backslash: of such a name only the last segment counts.
curl_posts_a_form() {
    fresh sent
    local name escaped fields=() shared=$base
    for name in "${hostile_names[@]}"; do
        [[ $name != *\\* ]] || continue
        cp -- "$work/tree/$name" "$work/sent/"
        escaped=${name//\"/\\\"}
        fields+=(-F "file=@\"$work/tree/$escaped\"")
    done
    fresh inbox
    share inbox --uploads create
    local inbox=$base
    base=$shared
    curl_prints 201 '%{http_code}' "${fields[@]}" "$inbox/" || return 1
    same_tree "$work/sent" "$work/inbox" || return 1
    printf 'new' >"$work/new"
    curl_prints 409 '%{http_code}' -F "file=@$work/new;filename=plain" -F "file=@$work/new" "$inbox/" || return 1
    equal $'refused plain: There is a file of this name, and it may not be replaced.\nstored new' "$(cat "$work/response")" || return 1
    same "$work/tree/plain" "$work/inbox/plain" && same "$work/new" "$work/inbox/new"
}

check_folder_curl() {
    check 'curl and tar unpack a whole folder, with its times' tar_unpacks
    check 'curl and tar unpack a folder within it' tar_unpacks_one_directory
    fresh flat
    check 'a loop over the text listing fetches each file' loop_fetches
    check 'curl -F stores each file of a form' curl_posts_a_form
}

check_folder_python3() {
    check 'python3 walks the JSON listings' python_walks
}

# --- Mirrors ------------------------------------------------------------------------------------------------------------

# Links with a query are skipped: they sort, archive or download entries that are also linked without a query.
wget_mirrors() {
    fresh mirror
    run wget -q -r -np -nH -l inf --no-iri --restrict-file-names=nocontrol --reject-regex '[?]' -R 'index.html,index.html.tmp' \
        -P "$work/mirror" "$base/" || return 1
    # wget 1.21 requests the right name, but decodes it twice for the name of its local file.
    local directory
    for directory in "$work/mirror" "$work/mirror/in a%20b"; do
        [[ ! -e $directory/'a b' ]] || mv "$directory/a b" "$directory/a%20b"
    done
    same_tree "$work/tree" "$work/mirror" || return 1
    equal "$(stat -c %Y "$work/tree/plain")" "$(stat -c %Y "$work/mirror/plain")"
}

check_folder_wget() {
    check 'wget -r -np mirrors a folder' wget_mirrors
}

# rclone_here ARGUMENTS…: with a configuration of its own instead of the user's.
rclone_here() {
    run rclone --config "$work/rclone.conf" --http-url "$base/" "$@"
}

rclone_lists() {
    (cd "$work/named" && find . -type f -printf '%s;%TY-%Tm-%Td %TH:%TM:%.2TS;%P\n') | sort >"$work/expected"
    rclone_here lsf -R --files-only --format stp :http: | sort >"$work/listed" || return 1
    diff "$work/expected" "$work/listed"
}

rclone_copies() {
    fresh copied
    rclone_here copy :http: "$work/copied" || return 1
    same_tree "$work/named" "$work/copied"
}

rclone_finds_nothing_to_do() {
    rclone_here check --download :http: "$work/copied"
}

check_folder_rclone() {
    local shared=$base
    cp -a "$work/tree" "$work/named"
    # rclone's names are UTF-8, and it fails to recognize its own URLs if the name of a directory has a colon.
    find "$work/named" -depth '(' -name $'*\xff*' -o -type d -name '*:*' ')' -exec rm -r {} +
    : >"$work/rclone.conf"
    share named
    check 'rclone lsf lists a folder, with sizes and times' rclone_lists
    check 'rclone copy copies it' rclone_copies
    check 'rclone check finds nothing that differs' rclone_finds_nothing_to_do
    base=$shared
}

# --- git over plain HTTP ------------------------------------------------------------------------------------------------

# git_here ARGUMENTS…: without the configuration of the user and the system.
git_here() {
    GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 run git -c user.name=clients -c user.email=clients@localhost \
        -c init.defaultBranch=main -c commit.gpgSign=false "$@"
}

commit_tree() {
    git_here -C "$work/repository" add -A && git_here -C "$work/repository" commit -q -m "$1"
}

publish() {
    git_here -C "$work/repository" push -q "$work/git/tree.git" main && git_here -C "$work/git/tree.git" update-server-info
}

git_clones() {
    fresh clone
    git_here clone -q "$base/tree.git" "$work/clone" || return 1
    rm -rf "$work/clone.git" && mv "$work/clone/.git" "$work/clone.git"
    same_tree "$work/tree" "$work/clone"
}

git_fetches_more() {
    mv "$work/clone.git" "$work/clone/.git"
    git_here -C "$work/clone" pull -q --ff-only && same "$work/repository/news" "$work/clone/news"
}

check_folder_git() {
    local shared=$base
    cp -a "$work/tree" "$work/repository"
    git_here init -q "$work/repository" && git_here init -q --bare "$work/git/tree.git"
    commit_tree first && publish
    # Packed objects are fetched in another way than loose ones.
    git_here -C "$work/git/tree.git" repack -q -a -d && git_here -C "$work/git/tree.git" update-server-info
    share git
    check 'git clone over plain HTTP' git_clones
    date >"$work/repository/news"
    commit_tree second && publish
    check 'git pull fetches a new commit' git_fetches_more
    base=$shared
}

# --- Video --------------------------------------------------------------------------------------------------------------

# frames SECONDS INPUT: the checksums of three frames from that time on.
frames() {
    run ffmpeg -nostdin -v error -ss "$1" -i "$2" -frames:v 3 -f framemd5 -
}

# The index of the film is at its end: a client that cannot seek plays nothing.
ffmpeg_seeks() {
    local second expected got
    for second in 0 7 55; do
        expected=$(frames "$second" "$work/film/film.mp4") && got=$(frames "$second" "$base/film.mp4") || return 1
        [[ $expected == *,* ]] && equal "$expected" "$got" || return 1
    done
}

ffprobe_describes() {
    local what=(-v error -show_entries format=duration,size,nb_streams -of default=nw=1) expected got
    expected=$(run ffprobe "${what[@]}" "$work/film/film.mp4") && got=$(run ffprobe "${what[@]}" "$base/film.mp4") &&
        equal "$expected" "$got"
}

check_folder_ffmpeg() {
    local shared=$base
    fresh film
    run ffmpeg -nostdin -v error -f lavfi -i testsrc=duration=60:size=320x240:rate=10 -c:v mpeg4 "$work/film/film.mp4" || {
        left_out+=(ffmpeg)
        return 0
    }
    share film
    check 'ffmpeg seeks in a film' ffmpeg_seeks
    check 'ffprobe describes the film' ffprobe_describes
    base=$shared
}

# --- Repositories of packages -------------------------------------------------------------------------------------------

# A wheel is a ZIP archive that contains its own metadata.
wheel_maker=$(
    cat <<'PYTHON'
import sys, zipfile

with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("spindle_tiny.py", "WORDS = 'from a wheel'\n")
    about = "spindle_tiny-1.0.dist-info/"
    wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: spindle-tiny\nVersion: 1.0\n")
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\nGenerator: clients\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(about + "RECORD", f"spindle_tiny.py,,\n{about}METADATA,,\n{about}WHEEL,,\n{about}RECORD,,\n")
PYTHON
)

# pip_installs URL: installs the wheel and imports its module.
pip_installs() {
    fresh installed
    run python3 -m pip --isolated --no-cache-dir --disable-pip-version-check install -q --no-deps --target "$work/installed" \
        --index-url "$1" spindle-tiny || return 1
    equal 'from a wheel' "$(PYTHONPATH=$work/installed run python3 -c 'import spindle_tiny; print(spindle_tiny.WORDS)')"
}

check_folder_pip() {
    local shared=$base wheel=spindle_tiny-1.0-py3-none-any.whl
    fresh index && mkdir -p "$work/index/simple/spindle-tiny" "$work/index/wheels"
    python3 -c "$wheel_maker" "$work/index/wheels/$wheel"
    printf '<!doctype html><a href="spindle-tiny/">spindle-tiny</a>\n' >"$work/index/simple/index.html"
    printf '<!doctype html><a href="../../wheels/%s#sha256=%s">%s</a>\n' "$wheel" \
        "$(sha256sum <"$work/index/wheels/$wheel" | cut -d ' ' -f 1)" "$wheel" >"$work/index/simple/spindle-tiny/index.html"
    share index --site
    check 'pip install from a simple index that is a site' pip_installs "$base/simple/"
    # pip also accepts the listing of a folder as an index, since it is a page of links.
    fresh wheels && mkdir -p "$work/wheels/spindle-tiny" && cp "$work/index/wheels/$wheel" "$work/wheels/spindle-tiny/"
    share wheels
    check 'pip install from a shared folder of wheels' pip_installs "$base/"
    base=$shared
}

# apt_here COMMAND…: apt-get with a configuration in which the repository of this test is the only one.
apt_here() {
    (cd "$work/apt" && APT_CONFIG=$work/apt/apt.conf run apt-get -q "$@")
}

apt_updates() {
    apt_here update || return 1
    # apt-get reports what it could not fetch, but still exits with 0.
    APT_CONFIG=$work/apt/apt.conf run apt-cache policy spindle-tiny | grep -F 'Candidate: 1.0'
}

apt_downloads() {
    rm -f "$work/apt/spindle-tiny_1.0_all.deb"
    apt_here download spindle-tiny && same "$work/debian/spindle-tiny_1.0_all.deb" "$work/apt/spindle-tiny_1.0_all.deb"
}

apt_notices_a_change() {
    apt_here update >"$work/again" && grep -E '^(Hit|Ign|Get)' "$work/again" || return 1
    sed -i 's/^Description: .*/Description: changed/' "$work/debian/Packages"
    touch -d '2030-01-01' "$work/debian/Packages"
    apt_here update && APT_CONFIG=$work/apt/apt.conf run apt-cache show spindle-tiny | grep -F 'Description: changed'
}

check_folder_apt() {
    local shared=$base deb=spindle-tiny_1.0_all.deb
    fresh debian && fresh apt && fresh package && mkdir -p "$work/package/DEBIAN" "$work/package/usr/share/spindle-tiny"
    printf 'Package: spindle-tiny\nVersion: 1.0\nArchitecture: all\nMaintainer: clients <clients@localhost>\nDescription: tiny\n' \
        >"$work/package/DEBIAN/control"
    random_file "$work/package/usr/share/spindle-tiny/content" 123457
    dpkg-deb --root-owner-group --build "$work/package" "$work/debian/$deb" >/dev/null
    {
        cat "$work/package/DEBIAN/control"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$work/debian/$deb")" \
            "$(sha256sum <"$work/debian/$deb" | cut -d ' ' -f 1)"
    } >"$work/debian/Packages"
    share debian
    mkdir -p "$work"/apt/{state/lists/partial,cache/archives/partial,log,etc/apt.conf.d,etc/preferences.d,etc/trusted.gpg.d}
    : >"$work/apt/status"
    printf 'deb [trusted=yes] %s/ ./\n' "$base" >"$work/apt/etc/sources.list"
    cat >"$work/apt/apt.conf" <<CONFIGURATION
Dir::Etc "$work/apt/etc";
Dir::State "$work/apt/state";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt/cache";
Dir::Log "$work/apt/log";
APT::Sandbox::User "";
Acquire::http::Proxy "DIRECT";
CONFIGURATION
    check 'apt-get update from a flat repository' apt_updates
    check 'apt-get download' apt_downloads
    check 'apt-get update again notices only what has changed' apt_notices_a_change
    base=$shared
}

# --- A site -------------------------------------------------------------------------------------------------------------

# Every file that cargo doc wrote, with the media type that a browser needs to use it.
site_serves_all() {
    local doc=$work/doc name wanted
    (cd "$doc" && find . -type f -not -name '.*' -printf '%P\n' | sort) >"$work/pages"
    fresh pages.got
    awk -v base="$base/" -v to="$work/pages.got/" \
        '{ printf "url = \"%s%s\"\noutput = \"%s%s\"\n", base, $0, to, $0 }' "$work/pages" >"$work/pages.config"
    timeout "$client_seconds" curl -sS --fail --globoff --create-dirs -w '%{content_type}\n' --config "$work/pages.config" \
        </dev/null >"$work/types" || return 1
    while IFS=$'\t' read -r name type; do
        case $name in
        *.html) wanted=text/html ;;
        *.js) wanted=text/javascript ;;
        *.css) wanted=text/css ;;
        *.svg) wanted=image/svg+xml ;;
        *.woff2) wanted=font/woff2 ;;
        *) wanted= ;;
        esac
        [[ $type == "$wanted"* ]] && same "$doc/$name" "$work/pages.got/$name" || {
            printf '%s has the type %s\n' "$name" "$type"
            return 1
        }
    done < <(paste "$work/pages" "$work/types")
}

site_has_its_index() {
    run curl -sS --fail -L -o "$work/fetched" "$base/tiny" && same "$work/doc/tiny/index.html" "$work/fetched"
}

# One file in documentation of older versions of cargo, a directory in newer ones.
site_has_its_search_index() {
    grep -E '^search[.-]index' "$work/pages"
}

check_folder_cargo() {
    local shared=$base
    mkdir -p "$work/crate/src"
    printf '[package]\nname = "tiny"\nversion = "1.0.0"\nedition = "2021"\n[workspace]\n' >"$work/crate/Cargo.toml"
    printf '//! A tiny crate.\n\n/// Says so.\npub fn say() {}\n' >"$work/crate/src/lib.rs"
    check 'cargo doc writes a site' run env -C "$work/crate" CARGO_TARGET_DIR="$work/crate/target" cargo doc -q --offline
    [[ -d $work/crate/target/doc ]] || return 0
    mv "$work/crate/target/doc" "$work/doc"
    share doc --site
    check 'every file of the site is served, with its type' site_serves_all
    check 'the directory of the crate leads to its page' site_has_its_index
    check 'the search index is served' site_has_its_search_index
    base=$shared
}

# --- Main ---------------------------------------------------------------------------------------------------------------

# fresh NAME: makes $work/NAME an empty directory.
fresh() {
    rm -rf -- "${work:?}/$1" && mkdir -p -- "$work/$1"
}

# has_client NAME: whether the client is installed. Some clients need more than the command of their name.
has_client() {
    case $1 in
    pip) has python3 && python3 -m pip --version >/dev/null 2>&1 ;;
    ffmpeg) has ffmpeg && has ffprobe ;;
    apt) has apt-get && has dpkg-deb ;;
    git) has git && [[ -x $(git --exec-path)/git-remote-http ]] ;;
    cargo) has cargo && has curl ;;
    node) has node && node -e 'fetch' 2>/dev/null ;;
    httpx) has python3 && "${httpx_python:-python3}" -c 'import httpx' 2>/dev/null ;;
    *) has "$1" ;;
    esac
}

check_folder() {
    local client
    make_tree "$work/tree"
    share tree
    for client in "${folder_clients[@]}"; do
        if has_client "$client"; then
            "check_folder_$client"
        else
            left_out+=("$client")
        fi
    done
}
