//! The directives of Apache httpd 2.4, by the module that brings each: what no loaded module brings is refused.

/// A line is the name of a module and the names of its directives; `core` is what the program has in it, whichever way it
/// spreads its work. From the `command_rec` tables of the modules.
const TABLE: &str = "\
core: <Directory <DirectoryMatch <Else <ElseIf <Files <FilesMatch <If <IfDefine <IfDirective <IfFile <IfModule \
     <IfSection <Limit <LimitExcept <Location <LocationMatch <VirtualHost AcceptFilter AcceptPathInfo AccessFileName \
     AddDefaultCharset AllowEncodedSlashes AllowOverride AllowOverrideList AsyncRequestWorkerFactor CGIPassAuth \
     CGIVar ContentDigest CoreDumpDirectory DefaultRuntimeDir DefaultType Define DocumentRoot EnableExceptionHook \
     EnableMMAP EnableSendfile Error ErrorDocument ErrorLog ErrorLogFormat FileETag FlushMaxPipelined \
     FlushMaxThreshold ForceType GprofDir GracefulShutdownTimeout HostnameLookups HttpProtocolOptions Include \
     IncludeOptional KeepAlive KeepAliveTimeout LimitInternalRecursion LimitRequestBody LimitRequestFields \
     LimitRequestFieldsize LimitRequestLine LimitXMLRequestBody Listen ListenBacklog ListenCoresBucketsRatio LoadFile \
     LoadModule LogLevel MaxClients MaxConnectionsPerChild MaxKeepAliveRequests MaxMemFree MaxRangeOverlaps \
     MaxRangeReversals MaxRanges MaxRequestWorkers MaxRequestsPerChild MaxSpareServers MaxSpareThreads MergeSlashes \
     MergeTrailers MinSpareServers MinSpareThreads Mutex NameVirtualHost Options PidFile Port Protocol Protocols \
     ProtocolsHonorOrder QualifyRedirectURL RLimitCPU RLimitMEM RLimitNPROC ReadBufferSize ReceiveBufferSize \
     RegexDefaultOptions RegisterHttpMethod ScoreBoardFile SeeRequestTail SendBufferSize ServerAdmin ServerAlias \
     ServerLimit ServerName ServerPath ServerRoot ServerSignature ServerTokens SetHandler SetInputFilter \
     SetOutputFilter StartServers StrictHostCheck ThreadLimit ThreadStackSize ThreadsPerChild Timeout TraceEnable \
     UNCList UnDefine Undefine UseCanonicalName UseCanonicalPhysicalPort
access_compat: Satisfy allow deny order
alias: Alias AliasMatch AliasPreservePath Redirect RedirectMatch RedirectPermanent RedirectRelative RedirectTemp \
     ScriptAlias ScriptAliasMatch
allowmethods: AllowMethods
auth_basic: AuthBasicAuthoritative AuthBasicFake AuthBasicProvider AuthBasicUseDigestAlgorithm
authn_core: <AuthnProviderAlias AuthName AuthType
authn_file: AuthUserFile
authz_core: <AuthzProviderAlias <RequireAll <RequireAny <RequireNone <RequireNotAll AuthMerging \
     AuthzSendForbiddenOnFailure Require
authz_groupfile: AuthGroupFile
autoindex: AddAlt AddAltByEncoding AddAltByType AddDescription AddIcon AddIconByEncoding AddIconByType \
     DefaultIcon FancyIndexing HeaderName IndexHeadInsert IndexIgnore IndexIgnoreReset IndexOptions IndexOrderDefault \
     IndexStyleSheet ReadmeName
deflate: DeflateAlterEtag DeflateBufferSize DeflateCompressionLevel DeflateFilterNote \
     DeflateInflateLimitRequestBody DeflateInflateRatioBurst DeflateInflateRatioLimit DeflateMemLevel \
     DeflateWindowSize
dir: DirectoryCheckHandler DirectoryIndex DirectoryIndexRedirect DirectorySlash FallbackResource
env: PassEnv SetEnv UnsetEnv
expires: ExpiresActive ExpiresByType ExpiresDefault
filter: AddOutputFilterByType FilterChain FilterDeclare FilterProtocol FilterProvider FilterTrace
headers: Header RequestHeader
http2: H2CopyFiles H2Direct H2EarlyHint H2EarlyHints H2MaxDataFrameLen H2MaxSessionStreams \
     H2MaxWorkerIdleSeconds H2MaxWorkers H2MinWorkers H2ModernTLSOnly H2OutputBuffering H2Padding H2ProxyRequests \
     H2Push H2PushDiarySize H2PushPriority H2PushResource H2SerializeHeaders H2SessionExtraFiles H2StreamMaxMemSize \
     H2StreamTimeout H2TLSCoolDownSecs H2TLSWarmUpSize H2Upgrade H2WebSockets H2WindowSize
log_config: BufferedLogs CustomLog GlobalLog LogFormat TransferLog
mime: AddCharset AddEncoding AddHandler AddInputFilter AddLanguage AddOutputFilter AddType DefaultLanguage \
     ModMimeUsePathInfo MultiviewsMatch RemoveCharset RemoveEncoding RemoveHandler RemoveInputFilter RemoveLanguage \
     RemoveOutputFilter RemoveType TypesConfig
mpm_event: AsyncRequestWorkerFactor
negotiation: CacheNegotiatedDocs ForceLanguagePriority LanguagePriority
proxy: <Proxy <ProxyMatch BalancerGrowth BalancerInherit BalancerMember BalancerPersist NoProxy Proxy100Continue \
     ProxyAddHeaders ProxyBadHeader ProxyBlock ProxyDomain ProxyErrorOverride ProxyIOBufferSize ProxyMaxForwards \
     ProxyPass ProxyPassInherit ProxyPassInterpolateEnv ProxyPassMatch ProxyPassReverse ProxyPassReverseCookieDomain \
     ProxyPassReverseCookiePath ProxyPreserveHost ProxyReceiveBufferSize ProxyRemote ProxyRemoteMatch ProxyRequests \
     ProxySet ProxySourceAddress ProxyStatus ProxyTimeout ProxyVia
remoteip: RemoteIPHeader RemoteIPInternalProxy RemoteIPInternalProxyList RemoteIPProxiesHeader \
     RemoteIPProxyProtocol RemoteIPProxyProtocolExceptions RemoteIPTrustedProxy RemoteIPTrustedProxyList
reqtimeout: RequestReadTimeout
rewrite: RewriteBase RewriteCond RewriteEngine RewriteMap RewriteOptions RewriteRule
setenvif: BrowserMatch BrowserMatchNoCase SetEnvIf SetEnvIfExpr SetEnvIfNoCase
ssl: SSLCACertificateFile SSLCACertificatePath SSLCADNRequestFile SSLCADNRequestPath SSLCARevocationCheck \
     SSLCARevocationFile SSLCARevocationPath SSLCertificateChainFile SSLCertificateFile SSLCertificateKeyFile \
     SSLCipherSuite SSLCompression SSLCryptoDevice SSLEngine SSLFIPS SSLHonorCipherOrder SSLInsecureRenegotiation \
     SSLLog SSLLogLevel SSLOCSPDefaultResponder SSLOCSPEnable SSLOCSPNoVerify SSLOCSPOverrideResponder \
     SSLOCSPProxyURL SSLOCSPResponderCertificateFile SSLOCSPResponderTimeout SSLOCSPResponseMaxAge \
     SSLOCSPResponseTimeSkew SSLOCSPUseRequestNonce SSLOpenSSLConfCmd SSLOptions SSLPassPhraseDialog SSLProtocol \
     SSLProxyCACertificateFile SSLProxyCACertificatePath SSLProxyCARevocationCheck SSLProxyCARevocationFile \
     SSLProxyCARevocationPath SSLProxyCheckPeerCN SSLProxyCheckPeerExpire SSLProxyCheckPeerName SSLProxyCipherSuite \
     SSLProxyEngine SSLProxyMachineCertificateChainFile SSLProxyMachineCertificateFile SSLProxyMachineCertificatePath \
     SSLProxyProtocol SSLProxyVerify SSLProxyVerifyDepth SSLRandomSeed SSLRenegBufferSize SSLRequire SSLRequireSSL \
     SSLSRPUnknownUserSeed SSLSRPVerifierFile SSLSessionCache SSLSessionCacheTimeout SSLSessionTicketKeyFile \
     SSLSessionTickets SSLStaplingCache SSLStaplingErrorCacheTimeout SSLStaplingFakeTryLater SSLStaplingForceURL \
     SSLStaplingResponderTimeout SSLStaplingResponseMaxAge SSLStaplingResponseTimeSkew \
     SSLStaplingReturnResponderErrors SSLStaplingStandardCacheTimeout SSLStrictSNIVHostCheck SSLUseStapling \
     SSLUserName SSLVerifyClient SSLVerifyDepth SSLname
status: ExtendedStatus SeeRequestTail
unixd: ChrootDir Group Suexec User
userdir: UserDir
version: <IfVersion
vhost_alias: VirtualDocumentRoot VirtualDocumentRootIP VirtualScriptAlias VirtualScriptAliasIP
";

/// Directives that may not stand in a virtual host, of those that a configuration of ours could have there.
const MAIN_ONLY: [&str; 9] =
    ["listen", "loadmodule", "pidfile", "serverroot", "user", "group", "mutex", "serverlimit", "sslsessioncache"];

/// Directives that stand only in a virtual host.
const HOST_ONLY: [&str; 2] = ["serveralias", "serverpath"];

/// Directives that stand only in a section for a folder, a file or a path.
const SECTION_ONLY: [&str; 2] = ["require", "satisfy"];

/// Where a directive stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside of every section.
    Main,
    /// In a virtual host.
    Host,
    /// In `<Directory>`, `<Location>`, `<Files>` and the like.
    Section,
}

/// Whether one of the loaded modules (`ssl`, `proxy`, …) brings a directive; upper and lower case are the same.
pub(super) fn is_known(name: &str, loaded: impl Fn(&str) -> bool) -> bool {
    TABLE.lines().filter_map(|line| line.split_once(": ")).any(|(module, names)| {
        (module == "core" || loaded(module)) && names.split(' ').any(|known| known.eq_ignore_ascii_case(name))
    })
}

/// Judges the place of a directive, in Apache's words. `name` as it is written, `section` what it stands in.
pub(super) fn check_place(name: &str, place: Place, section: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    let is = |names: &[&str]| names.contains(&lower.as_str());
    match place {
        Place::Host | Place::Section if is(&MAIN_ONLY) => {
            Err(format!("{name} cannot occur within <{section}> section"))
        }
        Place::Host | Place::Section if lower == "<virtualhost" => {
            Err(format!("{name}> cannot occur within <{section}> section"))
        }
        Place::Main if is(&HOST_ONLY) => Err(format!("{name} only used in <VirtualHost>")),
        Place::Main | Place::Host if is(&SECTION_ONLY) => Err(format!("{name} not allowed here")),
        _ => Ok(()),
    }
}
