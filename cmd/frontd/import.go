package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/frontd/frontd/config"
	"github.com/frontd/frontd/importer"
)

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import SYSTEM FILE",
		Short: "Make a frontd.toml of another system's configuration",
		Long: "Make a frontd.toml of another system's configuration. Every setting that frontd does otherwise,\n" +
			"or not at all, stands in it as a comment with its value and the reason. Nothing is executed.\n" +
			"FILE may be - for standard input.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef(cmd, "import from what: uwsgi, unit, php-fpm or gunicorn")
		},
	}
	cmd.AddCommand(
		importFrom("uwsgi FILE.ini", "the [uwsgi] section of an ini file", func(file string, src []byte) (string, error) {
			return importer.UWSGI(file, src)
		}),
		importFrom("unit FILE.json", "the JSON that NGINX Unit's control API gives for /config", func(_ string, src []byte) (string, error) {
			return importer.Unit(src)
		}),
		importFrom("php-fpm FILE.conf", "a pool file of php-fpm, or php-fpm.conf with its pools", func(_ string, src []byte) (string, error) {
			return importer.PHPFPM(src)
		}),
		importGunicorn(),
	)
	return cmd
}

// importFrom is the command of one system.
func importFrom(use, what string, convert func(file string, src []byte) (string, error)) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   use,
		Short: "Read " + what,
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := readSource(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			text, err := convert(args[0], src)
			if err != nil {
				return &usageError{err: fmt.Errorf("%s: %w", args[0], err)}
			}
			return writeImported(cmd, out, text)
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

func importGunicorn() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "gunicorn [FILE.py] [-- ARGS...]",
		Short: "Read gunicorn.conf.py, which is not executed, and the arguments of its command line",
		Long: "Read a configuration file of gunicorn, of which the assignments of plain values are taken\n" +
			"(it is Python, and is not executed), and the arguments of its command line, which win:\n" +
			"  frontd import gunicorn gunicorn.conf.py -- -w 4 --bind 0.0.0.0:8000 shop.wsgi:application",
		RunE: func(cmd *cobra.Command, args []string) error {
			files, rest := args, []string(nil)
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				files, rest = args[:n], args[n:]
			}
			if len(files) > 1 || len(files)+len(rest) == 0 {
				return usagef(cmd, "want one FILE.py, or -- and the arguments of gunicorn, or both")
			}
			var src []byte
			if len(files) == 1 {
				var err error
				if src, err = readSource(cmd.InOrStdin(), files[0]); err != nil {
					return err
				}
			}
			dir, err := startFolder(files)
			if err != nil {
				return err
			}
			text, err := importer.Gunicorn(dir, src, rest)
			if err != nil {
				return &usageError{err: fmt.Errorf("%s: %w", strings.Join(append(files, rest...), " "), err)}
			}
			return writeImported(cmd, out, text)
		},
	}
	outputFlag(cmd, &out)
	return cmd
}

// startFolder is where gunicorn was started, most likely: where its file lies.
func startFolder(files []string) (string, error) {
	if len(files) == 0 || files[0] == "-" {
		return os.Getwd()
	}
	return filepath.Abs(filepath.Dir(files[0]))
}

func outputFlag(cmd *cobra.Command, out *string) {
	cmd.Flags().StringVarP(out, "output", "o", "", "write to `FILE`, which must not exist, in the place of standard output")
}

// readSource reads a bounded file.
func readSource(stdin io.Reader, file string) ([]byte, error) {
	r := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	src, err := io.ReadAll(io.LimitReader(r, importer.MaxSource+1))
	if err == nil && len(src) > importer.MaxSource {
		err = errors.New(file + ": larger than any configuration: 4 MiB are read")
	}
	return src, err
}

// writeImported writes the file, and says what frontd check would: paths and
// users of the other machine are for the reader to mend.
func writeImported(cmd *cobra.Command, out, text string) error {
	if out == "" {
		_, err := io.WriteString(cmd.OutOrStdout(), text)
		return err
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f, text); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	_, errs := config.Parse(out, []byte(text), os.LookupEnv)
	for _, e := range errs {
		fmt.Fprintln(cmd.ErrOrStderr(), e)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: written; read its comments, then frontd check -c %s\n", out, out)
	return nil
}
