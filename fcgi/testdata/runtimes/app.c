/* The test application: it does what the first segment of REQUEST_URI says. */
#include <fcgiapp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is(const char *uri, const char *what) { return strncmp(uri + 1, what, strlen(what)) == 0; }

static void answer(FCGX_Request *r)
{
	const char *uri = FCGX_GetParam("REQUEST_URI", r->envp);
	const char *arg = strchr(uri + 1, '/');
	static char piece[16384];
	int n, i;

	arg = arg ? arg + 1 : "";
	FCGX_PutS("Content-Type: text/plain\r\n\r\n", r->out);
	if (is(uri, "hello")) {
		FCGX_PutS("hello", r->out);
	} else if (is(uri, "echo")) {
		while ((n = FCGX_GetStr(piece, sizeof piece, r->in)) > 0)
			FCGX_PutStr(piece, n, r->out);
	} else if (is(uri, "size")) {
		for (n = atoi(arg); n > 0; n--)
			FCGX_PutChar('x', r->out);
	} else if (is(uri, "env")) {
		const char *v = FCGX_GetParam(arg, r->envp);
		FCGX_PutS(v ? v : "none", r->out);
	} else if (is(uri, "pid")) {
		FCGX_FPrintF(r->out, "%d", (int) getpid());
	} else if (is(uri, "endless")) {
		for (i = 0; i < 20000000 && FCGX_PutS("endless ", r->out) >= 0; i++)
			;
	}
}

int main(void)
{
	FCGX_Request r;

	signal(SIGPIPE, SIG_IGN);
	FCGX_Init();
	FCGX_InitRequest(&r, 0, 0);
	while (FCGX_Accept_r(&r) == 0) {
		answer(&r);
		FCGX_Finish_r(&r);
	}
	return 0;
}
