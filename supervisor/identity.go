package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// An Identity is whom workers run as.
type Identity struct {
	Name string // "" for a number that the system has no user for
	Home string // likewise
	syscall.Credential
}

// FindIdentity looks up a user and its groups, as initgroups(3) does, in the
// system's database. Both are names or numbers. group takes the place of the
// user's own one; it is "" for that, and needed for a number that is nobody's.
// An empty user is our own, with group in front of our own groups.
func FindIdentity(username, group string) (Identity, error) {
	id, err := findUser(username)
	if err != nil {
		return id, err
	}
	if group == "" {
		if id.Name == "" && username != "" {
			return id, fmt.Errorf("user %s is a number that nobody has here: say its group too", username)
		}
		return id, nil
	}
	gid, err := findGroup(group)
	if err != nil {
		return id, err
	}
	id.Gid = gid
	if !slices.Contains(id.Groups, gid) {
		id.Groups = append([]uint32{gid}, id.Groups...)
	}
	return id, nil
}

func findUser(username string) (Identity, error) {
	if username == "" {
		return ownIdentity()
	}
	u, err := user.Lookup(username)
	if err != nil {
		uid, nan := strconv.ParseUint(username, 10, 32)
		if nan != nil {
			return Identity{}, fmt.Errorf("user %q: there is none of that name", username)
		}
		if u, err = user.LookupId(username); err != nil {
			return Identity{Credential: syscall.Credential{Uid: uint32(uid)}}, nil
		}
	}
	id := Identity{Name: u.Username, Home: u.HomeDir}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	groups, err := u.GroupIds()
	if err := errors.Join(uidErr, gidErr, err); err != nil {
		return id, fmt.Errorf("user %q: %w", username, err)
	}
	id.Uid, id.Gid = uint32(uid), uint32(gid)
	for _, g := range groups {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return id, fmt.Errorf("user %q: group: %w", username, err)
		}
		id.Groups = append(id.Groups, uint32(n))
	}
	return id, nil
}

func ownIdentity() (Identity, error) {
	id := Identity{Credential: syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid())}}
	groups, err := os.Getgroups()
	if err != nil {
		return id, os.NewSyscallError("getgroups", err)
	}
	for _, g := range groups {
		id.Groups = append(id.Groups, uint32(g))
	}
	return id, nil
}

func findGroup(group string) (uint32, error) {
	g, err := user.LookupGroup(group)
	if err == nil {
		group = g.Gid
	}
	gid, nan := strconv.ParseUint(group, 10, 32)
	if nan != nil {
		return 0, fmt.Errorf("group %q: there is none of that name", group)
	}
	return uint32(gid), nil
}

// Own reports whether id is what this process is already.
func (id Identity) Own() bool {
	own, err := ownIdentity()
	if err != nil || id.Uid != own.Uid || id.Gid != own.Gid {
		return false
	}
	for _, g := range id.Groups {
		if g != own.Gid && !slices.Contains(own.Groups, g) {
			return false
		}
	}
	return true
}

// Allowed says why a process of ours cannot become id, nil if it can.
func (id Identity) Allowed() error {
	if id.Own() || mayChangeUser() {
		return nil
	}
	return fmt.Errorf("frontd cannot start workers as %v: it runs as uid %d without the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL, which root has", id, os.Geteuid())
}

func (id Identity) String() string {
	if id.Name == "" {
		return fmt.Sprintf("uid %d, gid %d", id.Uid, id.Gid)
	}
	return fmt.Sprintf("user %s (uid %d)", id.Name, id.Uid)
}
