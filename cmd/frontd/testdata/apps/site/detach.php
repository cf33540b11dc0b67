<?php
header('Content-Type: text/plain');
echo getmypid(), ' ', shell_exec('detached sleep 1000');
