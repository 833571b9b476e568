// Makes chosen calls of a program fail, from outside: preloaded (LD_PRELOAD) by tools/torture.
//
//   FAULT_CALLS   which calls: space (writes, ENOSPC), short (the same, after half of it was written), write (writes, EIO),
//                 sync (fsync and its kin, EIO), name (files and folders made, renamed, removed, ENOSPC), read (EIO),
//                 lmdb (every call into LMDB, EIO), kill (SIGKILL before a write or sync), power (the same, and what was
//                 written and not synced is undone, each write or not, as FAULT_SEED has it)
//   FAULT_AT      which of these calls, from 1; 0 for none
//   FAULT_ONWARD  1: all calls after that one as well
//   FAULT_UNDER   calls count whose file lies under this folder
//   FAULT_COUNT   a file that gets the number of calls when the program ends
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))

static const char *calls = "", *under = "", *count_file;
static long at, seen;
static int onward;
static uint64_t seed;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
    const char *value;
    if ((value = getenv("FAULT_CALLS"))) calls = value;
    if ((value = getenv("FAULT_UNDER"))) under = value;
    if ((value = getenv("FAULT_AT"))) at = atol(value);
    if ((value = getenv("FAULT_ONWARD"))) onward = atoi(value);
    if ((value = getenv("FAULT_SEED"))) seed = strtoull(value, NULL, 10);
    count_file = getenv("FAULT_COUNT");
}

__attribute__((destructor)) static void end(void) {
    if (!count_file) return;
    FILE *file = fopen(count_file, "w");
    if (!file) return;
    fprintf(file, "%ld\n", seen);
    fclose(file);
}

// Whether a call of class `name` is to fail now.
static int strikes(const char *name) {
    if (strcmp(calls, name)) return 0;
    pthread_mutex_lock(&mutex);
    long number = ++seen;
    pthread_mutex_unlock(&mutex);
    return at > 0 && (onward ? number >= at : number == at);
}

static int path_counts(const char *path) {
    char whole[PATH_MAX];
    if (path[0] == '/') return !strncmp(path, under, strlen(under));
    if (!getcwd(whole, sizeof whole)) return 0;
    return !strncmp(whole, under, strlen(under));
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return path[0] == '/';
}

static int fd_counts(int fd) {
    char path[PATH_MAX];
    return path_of(fd, path) && path_counts(path);
}

// MARK: What a power cut takes back

struct write_record {
    char path[PATH_MAX];
    off_t offset, old_size;
    size_t length, old_length;
    int nameless; // a descriptor of a file that has no name yet, else -1
    char *old;
    struct write_record *next;
};
static struct write_record *unsynced;

static void remember(int fd, off_t offset, size_t length) {
    if (strcmp(calls, "power")) return;
    struct write_record *record = calloc(1, sizeof *record);
    struct stat info;
    if (!record || !path_of(fd, record->path) || fstat(fd, &info)) abort();
    record->offset = offset;
    record->length = length;
    record->old_size = info.st_size;
    record->old = malloc(length ? length : 1);
    // A file without a name is reached through its descriptor, whatever name it gets later.
    char place[64];
    snprintf(place, sizeof place, "/proc/self/fd/%d", fd);
    record->nameless = info.st_nlink ? -1 : REAL(open)(place, O_RDWR);
    int reader = REAL(open)(info.st_nlink ? record->path : place, O_RDONLY);
    ssize_t got = reader < 0 ? 0 : REAL(pread)(reader, record->old, length, offset);
    if (reader >= 0) close(reader);
    record->old_length = got > 0 ? (size_t)got : 0;
    pthread_mutex_lock(&mutex);
    record->next = unsynced;
    unsynced = record;
    pthread_mutex_unlock(&mutex);
}

static void synced(int fd) {
    char path[PATH_MAX];
    if (strcmp(calls, "power") || !path_of(fd, path)) return;
    pthread_mutex_lock(&mutex);
    for (struct write_record **place = &unsynced; *place;) {
        struct write_record *record = *place;
        if (strcmp(record->path, path)) {
            place = &record->next;
            continue;
        }
        *place = record->next;
        if (record->nameless >= 0) close(record->nameless);
        free(record->old);
        free(record);
    }
    pthread_mutex_unlock(&mutex);
}

static void die(void) {
    pthread_mutex_lock(&mutex);
    for (struct write_record *record = unsynced; record; record = record->next) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if (seed >> 63) continue;
        int fd = record->nameless >= 0 ? record->nameless : REAL(open)(record->path, O_WRONLY);
        if (fd < 0) continue;
        if (REAL(pwrite)(fd, record->old, record->old_length, record->offset) < 0) abort();
        // What lay beyond the file's end was not there.
        struct stat info;
        if (record->offset + (off_t)record->old_length >= record->old_size && !fstat(fd, &info) && info.st_size <= record->offset + (off_t)record->length) {
            if (REAL(ftruncate)(fd, record->old_size)) abort();
        }
        close(fd);
    }
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static void maybe_die(void) {
    if (strikes("kill") || strikes("power")) die();
}

// MARK: Writes

static int fails_write(int fd) {
    if (!fd_counts(fd)) return 0;
    maybe_die();
    if (strikes("space")) return ENOSPC;
    if (strikes("short")) return -ENOSPC;
    if (strikes("write")) return EIO;
    return 0;
}

#define FAILED(error) do { errno = (error); return -1; } while (0)

ssize_t write(int fd, const void *bytes, size_t count) {
    int error = fails_write(fd);
    if (error > 0) FAILED(error);
    if (error < 0 && count < 2) FAILED(-error);
    if (error < 0) count /= 2;
    if (fd_counts(fd)) {
        off_t offset = lseek(fd, 0, SEEK_CUR);
        if (offset >= 0) remember(fd, offset, count);
    }
    return REAL(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    int error = fails_write(fd);
    if (error > 0) FAILED(error);
    if (error < 0) count /= 2;
    if (fd_counts(fd)) remember(fd, offset, count);
    return REAL(pwrite)(fd, bytes, count, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) { return pwrite(fd, bytes, count, offset); }

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    int error = fails_write(fd);
    if (error > 0) FAILED(error);
    if (error < 0) {
        if (count < 2) FAILED(-error);
        count /= 2;
    }
    size_t length = 0;
    for (int part = 0; part < count; part++) length += parts[part].iov_len;
    if (fd_counts(fd)) remember(fd, offset, length);
    return REAL(pwritev)(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) { return pwritev(fd, parts, count, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int error = fails_write(fd);
    if (error) FAILED(abs(error));
    size_t length = 0;
    for (int part = 0; part < count; part++) length += parts[part].iov_len;
    off_t offset = lseek(fd, 0, SEEK_CUR);
    if (fd_counts(fd) && offset >= 0) remember(fd, offset, length);
    return REAL(writev)(fd, parts, count);
}

static int syncs(int fd, int (*sync)(int)) {
    if (fd_counts(fd)) {
        maybe_die();
        if (strikes("sync")) FAILED(EIO);
    }
    int status = sync(fd);
    if (!status) synced(fd);
    return status;
}
int fsync(int fd) { return syncs(fd, REAL(fsync)); }
int fdatasync(int fd) { return syncs(fd, REAL(fdatasync)); }

// MARK: Names

static int fails_name(const char *path) { return path_counts(path) && strikes("name"); }

int open(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    if (flags & O_CREAT && fails_name(path)) FAILED(ENOSPC);
    return REAL(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    return open(path, flags, mode);
}
int mkdir(const char *path, mode_t mode) {
    if (fails_name(path)) FAILED(ENOSPC);
    return REAL(mkdir)(path, mode);
}
int rename(const char *from, const char *to) {
    if (fails_name(to)) FAILED(EIO);
    return REAL(rename)(from, to);
}
// Names in an open folder.
static int fails_name_in(int folder, const char *name) {
    char path[PATH_MAX], whole[2 * PATH_MAX];
    if (name[0] == '/' || folder == AT_FDCWD || !path_of(folder, path)) return fails_name(name);
    snprintf(whole, sizeof whole, "%s/%s", path, name);
    return fails_name(whole);
}
int openat(int folder, const char *name, int flags, ...) {
    va_list list;
    va_start(list, flags);
    const int makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    mode_t mode = makes ? va_arg(list, mode_t) : 0;
    va_end(list);
    if (makes && fails_name_in(folder, name)) FAILED(ENOSPC);
    return REAL(openat)(folder, name, flags, mode);
}
int openat64(int folder, const char *name, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
    va_end(list);
    return openat(folder, name, flags, mode);
}
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    if (fails_name_in(to_folder, to)) FAILED(EIO);
    return REAL(renameat)(from_folder, from, to_folder, to);
}
int unlinkat(int folder, const char *name, int flags) {
    if (fails_name_in(folder, name)) FAILED(EIO);
    return REAL(unlinkat)(folder, name, flags);
}
int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    if (fails_name_in(to_folder, to)) FAILED(ENOSPC);
    return REAL(linkat)(from_folder, from, to_folder, to, flags);
}
int unlink(const char *path) {
    if (fails_name(path)) FAILED(EIO);
    return REAL(unlink)(path);
}
int rmdir(const char *path) {
    if (fails_name(path)) FAILED(EIO);
    return REAL(rmdir)(path);
}
int ftruncate(int fd, off_t length) {
    if (fd_counts(fd) && strikes("space")) FAILED(ENOSPC);
    return REAL(ftruncate)(fd, length);
}

// MARK: Reads

ssize_t pread(int fd, void *bytes, size_t count, off_t offset) {
    if (fd_counts(fd) && strikes("read")) FAILED(EIO);
    return REAL(pread)(fd, bytes, count, offset);
}
ssize_t pread64(int fd, void *bytes, size_t count, off_t offset) { return pread(fd, bytes, count, offset); }
ssize_t read(int fd, void *bytes, size_t count) {
    if (fd_counts(fd) && strikes("read")) FAILED(EIO);
    return REAL(read)(fd, bytes, count);
}

// MARK: LMDB. Declared here, so that its header is not needed; a failing call does nothing else, but a commit ends its transaction.

#define LMDB(name, parameters, arguments) \
    int name parameters { \
        if (strikes("lmdb")) return EIO; \
        return ((int(*) parameters)real(#name)) arguments; \
    }
typedef void *p;
LMDB(mdb_env_create, (p env), (env))
LMDB(mdb_env_set_maxdbs, (p env, unsigned n), (env, n))
LMDB(mdb_env_set_mapsize, (p env, size_t n), (env, n))
LMDB(mdb_env_open, (p env, p path, unsigned flags, mode_t mode), (env, path, flags, mode))
LMDB(mdb_env_get_fd, (p env, p fd), (env, fd))
LMDB(mdb_env_info, (p env, p info), (env, info))
LMDB(mdb_env_stat, (p env, p stat), (env, stat))
LMDB(mdb_env_sync, (p env, int force), (env, force))
LMDB(mdb_txn_begin, (p env, p parent, unsigned flags, p txn), (env, parent, flags, txn))
LMDB(mdb_dbi_open, (p txn, p name, unsigned flags, p dbi), (txn, name, flags, dbi))
LMDB(mdb_stat, (p txn, unsigned dbi, p stat), (txn, dbi, stat))
LMDB(mdb_get, (p txn, unsigned dbi, p key, p data), (txn, dbi, key, data))
LMDB(mdb_put, (p txn, unsigned dbi, p key, p data, unsigned flags), (txn, dbi, key, data, flags))
int mdb_txn_commit(p txn) {
    if (strikes("lmdb")) {
        ((void (*)(p))real("mdb_txn_abort"))(txn);
        return EIO;
    }
    return ((int (*)(p))real("mdb_txn_commit"))(txn);
}
