package main

import (
	"github.com/spf13/cobra"

	"github.com/frontd/frontd/app"
	"github.com/frontd/frontd/config"
)

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [APP] [-c FILE] [-l ADDRESS]... [-w N] [--threads N] [--dev] [--control PATH]",
		Short: "Serve applications over HTTP",
		Long: "Serve one application, APP, at every URL, or what a configuration file says.\n\nAPP is one of\n" +
			app.Forms(),
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
