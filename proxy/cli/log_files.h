/* log_files.h - where the daemon's log goes, and the files anew once somebody has renamed or removed them. Control thread. */
#ifndef QP_CLI_LOG_FILES_H
#define QP_CLI_LOG_FILES_H

struct qp_config;

/* Opens what log.file and log.access name and sets the log up. The exit code; where that is not EX_OK, stderr has said why. */
int qp_log_files_open(const struct qp_config *config);
/* Opens the files again under their names, in the places of the old ones: no line is lost, and what a worker has gathered goes to the new file. A file
 * that cannot be opened keeps its old descriptor, and an error line says so. */
void qp_log_files_reopen(const struct qp_config *config);

#endif
