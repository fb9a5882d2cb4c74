/* A disk that forgets what was not synced, fills up and fails, for one process and one folder: preload it (LD_PRELOAD).
 *
 * LOSSY_FOLDER  files in it are watched
 * LOSSY_LOG     folder of the logs, one a file, named by its inode
 * LOSSY_CUT     once there is a file of this name, the process dies where a sync is due, before anything is synced
 * LOSSY_FAILS   as long as there is a file of this name, a sync fails with EIO, and nothing is synced
 * LOSSY_ROOM    a file with a number: the bytes that all watched files may have together; beyond it is ENOSPC
 * LOSSY_LIES    set: a sync does nothing but say that it did
 *
 * Before a watched file is changed, what the change will overwrite and what it will write is appended to the file's log;
 * a sync empties the log after it was done. So at any moment, also after a kill, the log holds exactly the changes that a
 * loss of power may undo; replay.py undoes them, or some of them. Names and sizes given by open are taken to be durable.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct change { /* followed by old_length bytes that were there and new_length bytes that come */
    uint64_t offset, old_size, new_size, old_length, new_length;
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int watched(int fd, struct stat *is) {
    char link[64], path[PATH_MAX];
    const char *folder = getenv("LOSSY_FOLDER");
    if (!folder || !getenv("LOSSY_LOG") || fstat(fd, is) != 0 || !S_ISREG(is->st_mode))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int log_of(int fd, struct stat *is, int flags) {
    char log[PATH_MAX];
    const char *logs = getenv("LOSSY_LOG");
    if (!watched(fd, is))
        return -1;
    snprintf(log, sizeof log, "%s/%llu", logs, (unsigned long long)is->st_ino);
    return REAL(open)(log, flags, 0600);
}

static void all(int fd, const void *bytes, size_t length) {
    const char *at = bytes;
    while (length) {
        ssize_t done = REAL(write)(fd, at, length);
        if (done < 0)
            abort(); /* a log that cannot be kept would make the test blind */
        at += done, length -= (size_t)done;
    }
}

static void note(int fd, uint64_t offset, const void *bytes, uint64_t length, int truncates) {
    struct stat is;
    int log = log_of(fd, &is, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
    if (log < 0)
        return;
    uint64_t size = (uint64_t)is.st_size, end = truncates ? size : offset + length;
    uint64_t there = offset < size ? (end < size ? end : size) - offset : 0;
    uint64_t after = truncates ? offset : (end > size ? end : size);
    struct change change = {offset, size, after, there, length};
    char *old = malloc(there ? there : 1);
    if (!old || pread(fd, old, there, (off_t)offset) != (ssize_t)there)
        abort();
    all(log, &change, sizeof change);
    all(log, old, there);
    all(log, bytes, length);
    free(old);
    close(log);
}

static int64_t room(void) { /* what is left; as good as no limit when none is set */
    const char *name = getenv("LOSSY_ROOM"), *folder = getenv("LOSSY_FOLDER");
    FILE *file = name && folder ? fopen(name, "r") : NULL;
    long long left = 0;
    if (!file || fscanf(file, "%lld", &left) != 1)
        left = INT64_MAX;
    if (file)
        fclose(file);
    DIR *files = left == INT64_MAX ? NULL : opendir(folder);
    for (struct dirent *each; files && (each = readdir(files));) {
        struct stat is;
        if (fstatat(dirfd(files), each->d_name, &is, 0) == 0 && S_ISREG(is.st_mode))
            left -= is.st_size;
    }
    if (files)
        closedir(files);
    return left > 0 ? left : 0;
}

static int fits(int fd, uint64_t end) {
    struct stat is;
    if (!getenv("LOSSY_ROOM") || !watched(fd, &is) || end <= (uint64_t)is.st_size)
        return 1;
    if ((int64_t)(end - (uint64_t)is.st_size) <= room())
        return 1;
    errno = ENOSPC;
    return 0;
}

static int synced(int fd, int (*sync)(int)) {
    struct stat is;
    const char *cut = getenv("LOSSY_CUT");
    pthread_mutex_lock(&turn);
    if (cut && access(cut, F_OK) == 0 && watched(fd, &is))
        raise(SIGKILL);
    const char *fails = getenv("LOSSY_FAILS");
    if (fails && access(fails, F_OK) == 0 && watched(fd, &is)) {
        pthread_mutex_unlock(&turn);
        errno = EIO;
        return -1;
    }
    int lies = getenv("LOSSY_LIES") != NULL, result = lies ? 0 : sync(fd), kept = errno;
    if (!lies && result == 0) {
        int log = log_of(fd, &is, O_WRONLY | O_TRUNC | O_CLOEXEC);
        if (log >= 0)
            close(log);
    }
    pthread_mutex_unlock(&turn);
    errno = kept;
    return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    pthread_mutex_lock(&turn);
    if (!fits(fd, (uint64_t)offset + length)) {
        pthread_mutex_unlock(&turn);
        return -1;
    }
    note(fd, (uint64_t)offset, bytes, length, 0);
    ssize_t result = REAL(pwrite64)(fd, bytes, length, offset);
    pthread_mutex_unlock(&turn);
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length) {
    pthread_mutex_lock(&turn);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    if (offset >= 0)
        note(fd, (uint64_t)offset, bytes, length, 0);
    ssize_t result = REAL(write)(fd, bytes, length);
    pthread_mutex_unlock(&turn);
    return result;
}

int ftruncate64(int fd, off64_t length) {
    pthread_mutex_lock(&turn);
    note(fd, (uint64_t)length, "", 0, 1);
    int result = REAL(ftruncate64)(fd, length);
    pthread_mutex_unlock(&turn);
    return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fsync(int fd) { return synced(fd, REAL(fsync)); }

int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int statvfs64(const char *path, struct statvfs64 *is) {
    int result = REAL(statvfs64)(path, is);
    if (result == 0 && getenv("LOSSY_ROOM") && room() / (int64_t)is->f_frsize < (int64_t)is->f_bavail)
        is->f_bavail = (fsblkcnt64_t)(room() / (int64_t)is->f_frsize);
    return result;
}

int statvfs(const char *path, struct statvfs *is) { return statvfs64(path, (struct statvfs64 *)is); }
