// Package machine boots a kernel in qemu with programs of a test's choice and
// nothing else, for what a test needs of a kernel and this system's has not:
// control groups with all their controllers, an out-of-memory killer to meet.
//
// The root file system is an archive in memory: the programs, the libraries
// that they need, and as process 1 one of ours whose body is Main. That one
// runs the commands, one after the other, and turns the machine off. It has no
// network but its own 127.0.0.1, and no disk.
package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Machine is what is booted.
type Machine struct {
	Kernel   string            // its file, as /boot/vmlinuz-*; the console and control groups are built into it
	Memory   int               // MiB
	Init     string            // a program without libraries that calls Main where its name is InitName
	Programs []string          // of this system, by name or path; at the same path there, with their libraries
	Files    map[string]string // further files and folders: path there, path here
	Commands [][]string        // argv, each; what a command needs of an environment it sets itself, by env(1)
}

// InitName is the name by which Machine.Init is called as process 1.
const InitName = "init"

// Of the archive and of what process 1 says on the console.
const (
	commandsFile = "/commands"
	saysEnded    = "machine: command ended: " // and its exit status
)

// killWait is how long qemu may take to die.
const killWait = 10 * time.Second

// Run boots the machine and returns when it is off. All that is printed in it
// goes to console. The error says which command failed, or that not all of them
// have run. When ctx ends the machine is turned off as by its plug.
func (m Machine) Run(ctx context.Context, qemu string, console io.Writer) error {
	dir, err := os.MkdirTemp("", "machine")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "initramfs")
	if err := m.pack(archive); err != nil {
		return fmt.Errorf("pack programs: %w", err)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, qemu,
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-accel", "tcg,thread=multi", "-cpu", "max", // a KVM may be there and not work
		"-smp", "2", "-m", strconv.Itoa(m.Memory),
		"-kernel", m.Kernel, "-initrd", archive,
		// A panic ends the machine. Of the kernel's words only the worst are on the console.
		// It asks of no timer to tick in time: where the processors are programs on a
		// busy machine none does.
		"-append", "console=ttyS0 loglevel=2 panic=-1 no_timer_check rdinit=/"+InitName)
	cmd.Stdout = io.MultiWriter(console, &said)
	cmd.Stderr = cmd.Stdout
	cmd.WaitDelay = killWait
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("qemu: %w", err), context.Cause(ctx))
	}
	return m.verdict(said.String())
}

// verdict reads what process 1 said of each command.
func (m Machine) verdict(said string) error {
	var ended []string
	for line := range strings.Lines(said) {
		if _, status, ok := strings.Cut(line, saysEnded); ok {
			ended = append(ended, strings.TrimSpace(status))
		}
	}
	for i, status := range ended {
		if i < len(m.Commands) && status != "0" {
			return fmt.Errorf("%q: exit status %s", m.Commands[i], status)
		}
	}
	if len(ended) != len(m.Commands) {
		return fmt.Errorf("the machine went off after %d of %d commands", len(ended), len(m.Commands))
	}
	return nil
}

// pack writes the root file system.
func (m Machine) pack(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	a := newArchive(f)
	for _, dir := range []string{"/proc", "/sys", "/dev", "/tmp", "/etc"} {
		a.folder(dir)
	}
	a.copy("/"+InitName, m.Init)
	for _, name := range m.Programs {
		if err := a.program(name); err != nil {
			return err
		}
	}
	for there, here := range m.Files {
		if err := a.tree(there, here); err != nil {
			return err
		}
	}
	commands, err := json.Marshal(m.Commands)
	if err != nil {
		return err
	}
	a.file(commandsFile, 0o644, commands)
	return errors.Join(a.close(), f.Close())
}

// program copies a program of this system and the libraries that it needs.
func (a *archive) program(name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	a.copy(path, path)
	libraries, err := librariesOf(path)
	for _, l := range libraries {
		a.copy(l, l)
	}
	return err
}

// librariesOf asks the dynamic linker. A program without any is none of its.
func librariesOf(path string) ([]string, error) {
	out, err := exec.Command("ldd", path).CombinedOutput()
	if err != nil {
		if bytes.Contains(out, []byte("not a dynamic executable")) {
			return nil, nil
		}
		return nil, fmt.Errorf("ldd %s: %w: %.200s", path, err, out)
	}
	var list []string
	for _, word := range strings.Fields(string(out)) { // NAME => PATH (ADDRESS), or PATH (ADDRESS)
		if strings.HasPrefix(word, "/") && !slices.Contains(list, word) {
			list = append(list, word)
		}
	}
	return list, nil
}
