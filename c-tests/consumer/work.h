/* What every consumer does, with whichever copy of carom it is linked with: 0 if all of it works. */
#include <carom.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

static int32_t twice(carom_call *call) {
    int64_t number;
    if (carom_call_read(call, 0, &number, sizeof number) != CAROM_OK) return 1;
    number *= 2;
    return carom_call_reply(call, &number, sizeof number) == CAROM_OK ? 0 : 2;
}

static int32_t crash(carom_call *call) {
    (void)call;
    raise(SIGSEGV);
    return 0;
}

static int32_t add_one(carom_call *call) {
    carom_value *value = NULL;
    int64_t before;
    return carom_call_value(call, 0, &value) == CAROM_OK && carom_value_add(value, 1, &before) == CAROM_OK ? 0 : 1;
}

static int work(void) {
    struct rlimit none = {0, 0};
    carom_pool_options options;
    carom_task_options task;
    carom_verdict verdict;
    carom_pool *pool = NULL;
    carom_value *value = NULL;
    carom_process *process = NULL;
    int64_t items[100], zero = 0, now = 0;
    carom_argument argument;
    setrlimit(RLIMIT_CORE, &none);
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.workers = 2;
    memset(&task, 0, sizeof task);
    memset(&verdict, 0, sizeof verdict);
    task.size = sizeof task;
    task.verdict = &verdict;
    verdict.size = sizeof verdict;
    if (strcmp(carom_version(), CAROM_VERSION) != 0) return 1;
    if (carom_pool_new(&options, &pool) != CAROM_OK) return 2;
    for (int i = 0; i < 100; i++) items[i] = i;
    if (carom_pool_map(pool, twice, items, 8, 100, NULL, items, 8, CAROM_FOREVER) != CAROM_OK || items[99] != 198) return 3;
    if (carom_pool_apply(pool, crash, NULL, 0, &task, NULL, 0, NULL, CAROM_FOREVER) != CAROM_EWORKERLOST) return 4;
    if (verdict.signal != SIGSEGV || !strstr(verdict.backtrace, " crash")) return 5;
    if (carom_pool_close(pool) != CAROM_OK || carom_pool_join(pool, CAROM_FOREVER) != CAROM_OK) return 6;
    carom_pool_free(pool);
    if (carom_value_new(CAROM_I64, &zero, sizeof zero, NULL, &value) != CAROM_OK) return 7;
    memset(&argument, 0, sizeof argument);
    argument.kind = CAROM_ARGUMENT_HANDLE;
    argument.handle = value;
    if (carom_process_start(add_one, &argument, 1, NULL, &process) != CAROM_OK) return 8;
    if (carom_process_join(process, CAROM_FOREVER) != CAROM_OK) return 9;
    carom_process_free(process);
    if (carom_value_get(value, &now, sizeof now, CAROM_FOREVER) != CAROM_OK || now != 1) return 10;
    carom_value_free(value);
    return 0;
}
