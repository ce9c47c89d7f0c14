/** What `-w` can tell of a transfer. Times in ms from its start; 0 for what was not reached. */
export interface TransferFacts {
  readonly url: string;
  readonly effectiveUrl: string;
  readonly method: string;
  readonly scheme: string;
  status: number;
  httpVersion: string;
  contentType: string;
  redirectUrl: string;
  remote: { readonly ip: string; readonly port: number };
  local: { readonly ip: string; readonly port: number };
  sizeDownload: number;
  sizeHeader: number;
  readonly sizeUpload: number;
  sizeRequest: number;
  numConnects: number;
  readonly numRedirects: number;
  readonly timeRedirect: number;
  timeNamelookup: number;
  timeConnect: number;
  timePretransfer: number;
  timeStarttransfer: number;
  timeTotal: number;
  exitCode: number;
  error: string;
}

/** Fills a format of `-w`. What goes to stderr stands behind `%{stderr}`; an unknown variable is complained about there. */
export function formatWriteOut(
  format: string,
  facts: TransferFacts,
  print: { stdout(text: string): void; stderr(text: string): void },
): void {
  let to: 'stdout' | 'stderr' = 'stdout';
  let text = '';
  const flush = () => {
    if (text !== '') print[to](text);
    text = '';
  };
  for (const part of format.match(/%\{[^}]*\}|%%|\\[nrt\\]|[\s\S]/g) ?? []) {
    const name = /^%\{(.*)\}$/s.exec(part)?.[1];
    if (part === '%%') text += '%';
    else if (/^\\[nrt\\]$/.test(part))
      text += ({ n: '\n', r: '\r', t: '\t', '\\': '\\' } as Record<string, string>)[part[1]!];
    else if (name === undefined) text += part;
    else if (name === 'stdout' || name === 'stderr') {
      flush();
      to = name;
    } else if (name === 'onerror') {
      if (facts.exitCode === 0) break;
    } else {
      const value = variable(name, facts);
      if (value === null) print.stderr(`curl: unknown --write-out variable: '${name}'\n`);
      else text += value;
    }
  }
  flush();
}

function variable(name: string, facts: TransferFacts): string | null {
  switch (name) {
    case 'http_code':
    case 'response_code':
      return String(facts.status).padStart(3, '0');
    case 'http_version':
      return facts.httpVersion;
    case 'content_type':
      return facts.contentType;
    case 'redirect_url':
      return facts.redirectUrl;
    case 'remote_ip':
      return facts.remote.ip;
    case 'remote_port':
      return String(facts.remote.port);
    case 'local_ip':
      return facts.local.ip;
    case 'local_port':
      return String(facts.local.port);
    case 'url':
      return facts.url;
    case 'url_effective':
      return facts.effectiveUrl;
    case 'method':
      return facts.method;
    case 'scheme':
      return facts.scheme.toUpperCase();
    case 'num_connects':
      return String(facts.numConnects);
    case 'num_redirects':
      return String(facts.numRedirects);
    case 'size_download':
      return String(facts.sizeDownload);
    case 'size_header':
      return String(facts.sizeHeader);
    case 'size_upload':
      return String(facts.sizeUpload);
    case 'size_request':
      return String(facts.sizeRequest);
    case 'speed_download':
      return String(speed(facts.sizeDownload, facts.timeTotal));
    case 'speed_upload':
      return String(speed(facts.sizeUpload, facts.timeTotal));
    case 'time_namelookup':
      return seconds(facts.timeNamelookup);
    case 'time_connect':
      return seconds(facts.timeConnect);
    case 'time_appconnect':
      return seconds(0);
    case 'time_pretransfer':
      return seconds(facts.timePretransfer);
    case 'time_starttransfer':
      return seconds(facts.timeStarttransfer);
    case 'time_redirect':
      return seconds(facts.timeRedirect);
    case 'time_total':
      return seconds(facts.timeTotal);
    case 'exitcode':
      return String(facts.exitCode);
    case 'errormsg':
      return facts.error;
    default:
      return null;
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(6);
}

function speed(bytes: number, ms: number): number {
  return ms <= 0 ? bytes : Math.floor((bytes * 1000) / ms);
}
