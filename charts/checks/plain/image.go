package plain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// packages are the machine's own that stand for the last stage's base: what
// distroless/cc has.
var packages = []string{"libc6", "libgcc-s1", "libstdc++6", "netbase", "tzdata"}

// Base fills a folder with what stands for the last stage's base.
func Base(ctx context.Context, dir string) error {
	// /lib and the like are links into /usr, as Debian has had them since bookworm.
	for _, link := range []string{"lib", "lib64", "bin", "sbin"} {
		if err := os.MkdirAll(filepath.Join(dir, "usr", link), 0o755); err != nil {
			return fmt.Errorf("plain: %w", err)
		}
		if err := os.Symlink("usr/"+link, filepath.Join(dir, link)); err != nil {
			return fmt.Errorf("plain: %w", err)
		}
	}
	for _, empty := range []string{"tmp", "proc", "sys", "dev", "etc/ssl/certs", "var"} {
		if err := os.MkdirAll(filepath.Join(dir, empty), 0o755); err != nil {
			return fmt.Errorf("plain: %w", err)
		}
	}
	files := []string{"/etc/ssl/certs/ca-certificates.crt"}
	for _, name := range packages {
		listed, err := exec.CommandContext(ctx, "dpkg", "-L", name).Output()
		if err != nil {
			return fmt.Errorf("plain: dpkg -L %s: this needs a Debian-like machine: %w", name, err)
		}
		files = append(files, strings.Fields(string(listed))...)
	}
	for _, file := range files {
		info, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a slim machine's documentation
		}
		if err != nil {
			return fmt.Errorf("plain: %w", err)
		}
		to := filepath.Join(dir, file)
		switch {
		case info.Mode().IsRegular():
			err = copyFile(file, to, info.Mode())
		case info.Mode()&fs.ModeSymlink != 0:
			var target string
			if target, err = os.Readlink(file); err == nil {
				_ = os.MkdirAll(filepath.Dir(to), 0o755)
				if err = os.Symlink(target, to); errors.Is(err, fs.ErrExist) {
					err = nil
				}
			}
		}
		if err != nil {
			return fmt.Errorf("plain: %w", err)
		}
	}
	passwd := "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
	return os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte(passwd), 0o644)
}

// Command prepares a program of the image, to run as the image's user on its
// files, read-only but for /tmp. base is a folder that Base has filled, scratch
// one for mount points, over folders laid over all, as mounted
// configuration would be. When ctx ends the program is killed.
func (im *Image) Command(ctx context.Context, base, scratch string, over, env []string, program ...string) (*exec.Cmd, error) {
	merged, err := os.MkdirTemp(scratch, "merged")
	if err != nil {
		return nil, fmt.Errorf("plain: %w", err)
	}
	// Without an upper layer an overlay is read-only. No root is left when the program starts: a user, and no way back.
	const script = `set -eu
merged=$1 layers=$2 dir=$3 uid=$4 gid=$5
shift 5
mount -t overlay overlay -o "lowerdir=$layers" "$merged"
mount -t tmpfs -o mode=1777 tmpfs "$merged/tmp"
mount --rbind /proc "$merged/proc"
mount --rbind /sys "$merged/sys"
mount --rbind /dev "$merged/dev"
if touch "$merged/opt/written" 2>/dev/null; then echo 'the root file system can be written' >&2; exit 99; fi
exec setpriv --no-new-privs unshare --root="$merged" --wd="$dir" --setgid "$gid" --setuid "$uid" -- "$@"
`
	uid, gid, ok := strings.Cut(im.User, ":")
	if !ok || strings.Trim(uid+gid, "0123456789") != "" || uid == "0" {
		return nil, fmt.Errorf("plain: USER %s: must be numbers, and not root's, for Kubernetes to see that", im.User)
	}
	if os.Geteuid() != 0 {
		uid, gid = "0", "0" // one's own user is all that one may become
	}
	layers := strings.Join(append(slices.Clone(over), im.Tree, base), ":")
	cmd := namespace(ctx, script, append([]string{merged, layers, im.Dir, uid, gid}, program...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"}
	for name, value := range im.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, env...)
	return cmd, nil
}
