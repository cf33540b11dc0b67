package main

import (
	"os"
	"strconv"

	"github.com/frontd/frontd/config"
)

// storeSockets leaves the listening sockets in systemd's descriptor store:
// while frontd restarts, for whatever reason, connections wait in them instead
// of being refused. The next frontd gets them as it gets those of .socket
// units, which stay out: systemd has them. stale are the names of those that
// are there, of a frontd before or of ours, and that the configuration has no more.
//
// $FDSTORE says how many systemd takes (systemd 254; our units set it for
// those before); without it there is no store.
func (d *daemon) storeSockets(doors []*door, stale []string) {
	if n, _ := strconv.Atoi(os.Getenv("FDSTORE")); n < 1 {
		return
	}
	for _, name := range stale {
		d.tell("FDSTOREREMOVE=1\nFDNAME=" + name)
	}
	for _, door := range doors {
		if !door.address.Storable() {
			continue
		}
		f, err := config.SocketFile(door.listener)
		if err != nil {
			d.log.Warn("a restart will refuse connections for a moment", "listener", door.address.String(), "error", err)
			continue
		}
		// FDPOLL=0: a listening socket never ends by itself.
		d.tell("FDSTORE=1\nFDPOLL=0\nFDNAME="+door.address.SocketName(), f)
		f.Close()
		if l, ok := door.listener.(*config.UnixListener); ok {
			l.SetUnlinkOnClose(false) // the stored socket lives on at this file
		}
	}
}
