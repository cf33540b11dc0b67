package main

import (
	"github.com/spf13/cobra"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/config"
)

// serveHelp is what else there is to know at a prompt.
const serveHelp = `
ADDRESS is one of
  HOST:PORT, :PORT         HTTP
  https://HOST:PORT        HTTP over TLS, with server.tls of the configuration
  unix:/path, unix:@name   HTTP on a unix socket
  fcgi://HOST:PORT, fcgi+unix:/path
                           FastCGI, from a web server in front
  systemd:NAME             HTTP on a socket that systemd passes; https+systemd:NAME,
                           fcgi+systemd:NAME

Signals
  TERM, INT   stop: requests in flight end first; a second one stops at once
  HUP         read the configuration again
  USR1        open log files again
  USR2        hand over to a new process of the program

Exit status
  0   stopped as asked
  1   failed
  2   wrong usage or configuration
`

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [APP] [-c FILE] [-l ADDRESS]... [-w N] [--threads N] [--dev] [--control PATH]",
		Short: "Serve applications over HTTP",
		Long: "Serve one application, APP, at every URL, or what a configuration file says.\n\nAPP is one of\n" +
			app.Forms() + serveHelp,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, why, err := f.load(cmd, args)
			if err != nil {
				return err
			}
			d := &daemon{dev: f.dev, why: why, load: func() (*config.Config, error) {
				c, _, err := f.load(cmd, args)
				return c, err
			}}
			return serveDaemon(cmd.Context(), c, d, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().SetInterspersed(true)
	f.add(cmd)
	return cmd
}
