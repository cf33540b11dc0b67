<?php
header('Content-Type: text/plain');
$f = $_FILES['file'];
echo $f['name'], ' ', $f['size'], ' ', hash_file('sha256', $f['tmp_name']), ' field=', $_POST['field'], "\n";
