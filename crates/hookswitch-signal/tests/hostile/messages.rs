//! Valid messages that between them use everything the reader knows.

pub(crate) const INVITE: &str = "INVITE sip:7031@south.example;user=phone SIP/2.0\r\n\
    Via: SIP/2.0/UDP [2001:db8::5]:5062;rport;branch=z9hG4bKh1, SIP/2.0/TCP b.example;branch=z9hG4bKh2\r\n\
    v: SIP/2.0/TLS c.example;received=192.0.2.7;branch=z9hG4bKh3\r\n\
    From: \"Nora \\\"Q\\\" Quill\" <sip:nora@north.example>;tag=n0r4\r\n\
    To: Otto <sip:+49-30(555)@south.example;user=phone>;tag=0tt0\r\n\
    Call-ID: hostile-1@north.example\r\nCSeq: 41 INVITE\r\nMax-Forwards: 69\r\n\
    m: <sip:nora@192.0.2.7:5062;ob>;expires=60;+sip.instance=\"<urn:uuid:1>\"\r\n\
    P-Asserted-Identity: \"Nora\" <sip:+4930@north.example>, <tel:+4930>\r\n\
    Remote-Party-ID: <sip:7031@x>;party=calling;screen=yes;privacy=off\r\n\
    P-Preferred-Identity: <sip:7031@x>\r\nPrivacy: id;user\r\n\
    Diversion: <sip:7032@x>;reason=no-answer\r\n\
    History-Info: <sip:7034@x?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1,<sip:7035@x;cause=486>;index=1.1\r\n\
    Session-ID: 0123456789abcdef0123456789abcdef;remote=00000000000000000000000000000000\r\n\
    User-to-User: 00c81031;encoding=hex\r\nSession-Expires: 1800;refresher=uac\r\nExpires: 120\r\n\
    Replaces: c9@x;to-tag=a;from-tag=b;early-only\r\nJoin: c8@x;to-tag=a;from-tag=b\r\n\
    Target-Dialog: c7@x;local-tag=a;remote-tag=b\r\nUser-Agent: phone/1\r\nX-CID: abc\r\n\
    Reason: Q.850;cause=16;text=\"bye, \\\"x\\\"\"\r\nDate: Tue, 24 Nov 2026 09:00:00 GMT\r\n\
    Content-Type: multipart/mixed;boundary=\"q7\"\r\n\r\n\
    --q7\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 88 3 IN IP4 192.0.2.9\r\nc=IN IP4 192.0.2.9\r\na=sendonly\r\n\
    m=audio 4000/2 RTP/AVP 0 101\r\na=ptime:20\r\nm=image 4010 udptl t38\r\na=inactive\r\n--q7--\r\n";

pub(crate) const NOTIFY: &str = "NOTIFY sip:7031@south.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7\r\n\
    f: sip:nora@north.example;tag=n\r\nt: sip:otto@south.example;tag=o\r\ni: hostile-2\r\nCSeq: 7 NOTIFY\r\n\
    Event: refer;id=93\r\nSubscription-State: terminated;reason=noresource;expires=3\r\n\
    Refer-To: <sip:7036@x?Replaces=c81%40x%3Bto-tag%3Dtt%3Bfrom-tag%3Dff>\r\nReferred-By: <sip:7037@x>\r\n\
    Content-Type: message/sipfrag\r\nContent-Length: 19\r\n\r\nSIP/2.0 200 Done\r\n\r\n";

pub(crate) const RESPONSE: &str = "SIP/2.0 302 Moved\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKr\r\n\
    From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: hostile-3\r\nCSeq: 2 INVITE\r\n\
    Contact: <sip:c@x>;q=0.5, sip:d@x\r\nServer: s\r\nl: 0\r\n\r\n";
