<?php
error_log('told to the log');
throw new RuntimeException('an error of the application');
