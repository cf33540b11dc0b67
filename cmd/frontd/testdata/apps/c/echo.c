/* A FastCGI program in C, with libfcgi: it sends the body back as it comes. */
#include <fcgi_stdio.h>
#include <stdlib.h>

int main(void)
{
	static char block[65536];
	while (FCGI_Accept() >= 0) {
		size_t n;
		const char *name = getenv("QUERY_STRING");
		printf("Content-Type: application/octet-stream\r\nX-Query: %s\r\n\r\n", name ? name : "");
		while ((n = fread(block, 1, sizeof block, stdin)) > 0)
			fwrite(block, 1, n, stdout);
	}
	return 0;
}
