<?php
// The test application: it does what the first segment of REQUEST_URI says.
[, $what, $arg] = explode('/', $_SERVER['REQUEST_URI'] . '//');
header('Content-Type: text/plain');
switch ($what) {
case 'hello':
    echo 'hello';
    break;
case 'echo':
    $in = fopen('php://input', 'rb');
    stream_copy_to_stream($in, fopen('php://output', 'wb'));
    break;
case 'size':
    echo str_repeat('x', (int) $arg);
    break;
case 'env':
    echo $_SERVER[$arg] ?? 'none';
    break;
case 'pid':
    echo getmypid();
    break;
case 'endless':
    ignore_user_abort(false);
    while (!connection_aborted()) {
        echo str_repeat('endless ', 1024);
        @ob_flush();
        flush();
    }
    break;
}
