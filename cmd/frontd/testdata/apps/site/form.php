<?php
header('Content-Type: text/plain; charset=utf-8');
$v = $_SERVER['REQUEST_METHOD'] === 'POST' ? $_POST : $_GET;
echo "name={$v['name']} text={$v['text']} method={$_SERVER['REQUEST_METHOD']} info=", $_SERVER['PATH_INFO'] ?? '-', "\n";
