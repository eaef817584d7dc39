/** A line with every place that matches marked. */
export function Highlighted({ text, query }: { text: string; query: string }) {
  if (!query) return <>{text || ' '}</>;
  const parts: React.ReactNode[] = [];
  const lower = text.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(query); at >= 0; at = lower.indexOf(query, from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + query.length)}</mark>);
    from = at + query.length;
  }
  return (
    <>
      {parts}
      {text.slice(from)}
    </>
  );
}
