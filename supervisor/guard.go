package supervisor

// GuardMain is the whole body of the guard process.
func GuardMain() {}
