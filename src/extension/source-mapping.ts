// What two paths of one file say about where all files of a build lie now. Text only, so that tests need no editor.

/** What two paths of one file differ in: the longest common end is left out. Undefined when not even the names agree. */
export function mappingOf(built: string, found: string): { from: string; to: string } | undefined {
  const a = built.split(/[\\/]/);
  const b = found.split(/[\\/]/);
  let common = 0;
  while (common < a.length && common < b.length && a[a.length - 1 - common] === b[b.length - 1 - common]) common++;
  if (common === 0) return undefined;
  const keep = Math.min(common, b.length - 1);
  // A name without a folder of its own: `.` is the folder of all such names.
  if (keep === a.length) return { from: '.', to: b.slice(0, b.length - keep).join('/') };
  return { from: a.slice(0, a.length - keep).join('/'), to: b.slice(0, b.length - keep).join('/') };
}
