<?php
header('Content-Type: application/json');
$in = fopen('php://input', 'rb');
$hash = hash_init('sha256');
$size = hash_update_stream($hash, $in);
echo json_encode(['size' => $size, 'sha256' => hash_final($hash), 'length' => $_SERVER['CONTENT_LENGTH'] ?? null]);
