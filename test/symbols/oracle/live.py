# Run inside gdb: stops a program many times and writes, one JSON line a stop, what gdb says of the stack: registers, every frame with
# its pc, function and line, and the value of every scalar argument and local. oracle/live.mjs compares. Parameters by environment:
# TARGET (host:port), CONTINUE (the other side decides where to stop), STOPS, STEP (instructions between stops: a range "1-40"), OUT, PLACES (addresses to break at), REGIONS (start,size;...).
import json
import os
import random
import gdb

random.seed(int(os.environ.get('SEED', '1')))
gdb.execute('set pagination off')
gdb.execute('set confirm off')
gdb.execute('set width 0')
gdb.execute('target remote ' + os.environ['TARGET'])
low, high = [int(x) for x in os.environ.get('STEP', '1-40').split('-')]
out = open(os.environ['OUT'], 'w')
registers = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'eip']


def scalar(value):
    """A value as a number or text that the other side can form as well; None for what is not compared."""
    try:
        if value.is_optimized_out:
            return 'optimized out'
        kind = value.type.strip_typedefs().code
        if kind in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_ENUM, gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_CHAR):
            return str(int(value))
        if kind in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION, gdb.TYPE_CODE_ARRAY):
            return '@' + str(int(value.address)) if value.address is not None else None
        return None
    except gdb.error as error:
        text = str(error)
        return 'optimized out' if 'optimized out' in text else 'error ' + text


def variables(frame):
    found = []
    block = frame.block()
    while block is not None and not block.is_global and not block.is_static:
        for symbol in block:
            if symbol.addr_class != gdb.SYMBOL_LOC_LABEL and (symbol.is_argument or symbol.is_variable):
                try:
                    found.append([symbol.print_name, scalar(frame.read_var(symbol, block))])
                except gdb.error as error:
                    found.append([symbol.print_name, 'error ' + str(error)])
        if block.function is not None:
            break
        block = block.superblock
    return found


def stop():
    frame = gdb.newest_frame()
    record = {'registers': [int(frame.read_register(name)) & 0xffffffff for name in registers], 'frames': []}
    while frame is not None and len(record['frames']) < 40:
        sal = frame.find_sal()
        entry = {'pc': frame.pc(), 'name': frame.name(), 'line': sal.line, 'inline': frame.type() == gdb.INLINE_FRAME, 'registers': []}
        for name in registers:
            try:
                value = frame.read_register(name)
                entry['registers'].append(None if value.is_optimized_out else int(value) & 0xffffffff)
            except gdb.error:
                entry['registers'].append(None)
        try:
            entry['variables'] = variables(frame)
        except (gdb.error, RuntimeError):
            entry['variables'] = []
        if frame.type() != gdb.TAILCALL_FRAME:  # gdb makes up frames for functions that have jumped to the next
            record['frames'].append(entry)
        else:
            record['tailcalls'] = True
        try:
            record['why'] = frame.unwind_stop_reason()
            frame = frame.older()
        except gdb.error as error:
            record['why'] = str(error)
            break
    esp = record['registers'][4]
    record['memory'] = []
    # From a little below esp: an epilogue that has popped a register still describes it there.
    for start, size in ((esp - 64, 4096), (esp - 64, 64 + 4096 - (esp & 4095)), (esp & ~4095, 4096)):
        try:
            record['memory'].append([start, bytes(gdb.selected_inferior().read_memory(start, size)).hex()])
            break
        except gdb.error:
            pass
    for region in os.environ.get('REGIONS', '').split(';'):
        if region:
            a, n = [int(x, 0) for x in region.split(',')]
            record['memory'].append([a, bytes(gdb.selected_inferior().read_memory(a, n)).hex()])
    out.write(json.dumps(record) + '\n')
    out.flush()


count = int(os.environ['STOPS'])
places = [l for l in os.environ.get('PLACES', '').split(',') if l]
try:
    for index in range(count):
        if os.environ.get('CONTINUE'):
            gdb.execute('continue', to_string=True)
        elif places:
            # One of many addresses at a time: cheap, and spread over the program.
            gdb.execute('delete')
            for place in random.sample(places, min(len(places), 250)):
                gdb.execute('tbreak *' + place, to_string=True)
            gdb.execute('continue', to_string=True)
            for step in range(random.randint(0, 3)):
                gdb.execute('stepi', to_string=True)
        else:
            gdb.execute('stepi ' + str(random.randint(low, high)), to_string=True)
        stop()
except gdb.error as error:
    print('ended:', error)
out.close()
try:
    gdb.execute('kill', to_string=True)
except gdb.error:
    pass
