package app

import "errors"

func (a App) wsgiCommand(Options) (Command, error) {
	return Command{}, errors.New("this build has no Python launcher")
}
