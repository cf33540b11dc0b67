<?php
$left = (int)$_GET['bytes'];
header('Content-Type: application/octet-stream');
header("Content-Length: $left");
$block = '';
for ($i = 0; $i < 251 * 256; $i++) $block .= chr($i % 251);
while ($left > 0) {
    echo substr($block, 0, $left);
    $left -= strlen($block);
}
