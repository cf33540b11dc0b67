<?php
session_save_path($_SERVER['DOCUMENT_ROOT'] . '/../sessions');
session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
header('Content-Type: text/plain');
echo "php ", getmypid(), " visits=", $_SESSION['visits'], " uri=", $_SERVER['REQUEST_URI'], "\n";
