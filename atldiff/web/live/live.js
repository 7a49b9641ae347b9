() => {
  let peer = null, channel = null, stream = null, ticket = null, timers = [], state = {};
  const video = () => document.querySelector('#live-video');
  const say = (text, bad = false) => {
    const line = document.querySelector('#live-line');
    if (line) { line.textContent = text; line.style.color = bad ? 'rgb(185, 28, 28)' : ''; } };
  const address = () => new URL('live/offer', document.baseURI);
  const free = () => ticket && navigator.sendBeacon(address(), JSON.stringify({token: ticket.token, type: 'bye'}));
  const stop = (text = 'The live portrait has ended.', bad = false) => {
    timers.forEach(clearInterval); timers = [];
    if (!peer && !ticket) return;
    free();
    if (channel) channel.onclose = null;
    if (peer) { peer.onconnectionstatechange = null; peer.close(); }
    if (stream) stream.getTracks().forEach(track => track.stop());
    peer = channel = stream = ticket = null; state = {};
    video().poster = '';
    pose();
    say(text, bad); };
  const refused = {
    NotAllowedError: 'The browser does not allow the microphone. Allow it beside the address, or let a text or a recording speak.',
    NotFoundError: 'No microphone was found. Plug one in, or let a text or a recording speak.',
    NotReadableError: 'Another program uses the microphone. Close it, or let a text or a recording speak.' };
  const listen = async () => {
    if (!navigator.mediaDevices)
      throw 'Browsers give a microphone to https and localhost alone. Let a text or a recording speak.';
    const wishes = {echoCancellation: true, noiseSuppression: true, autoGainControl: true};
    try { return await navigator.mediaDevices.getUserMedia({audio: wishes}); }
    catch (error) { throw refused[error.name] || `The microphone does not work (${error.name}).`; } };
  const gathered = () => new Promise(done => {
    peer.onicecandidate = event => event.candidate || done();
    setTimeout(done, 1500); });
  const count = () => {
    let frames = 0, shown = 0;
    const next = () => { frames++; video()?.requestVideoFrameCallback?.(next); };
    video().requestVideoFrameCallback?.(next);
    timers.push(setInterval(() => { shown = frames; frames = 0; }, 1000));
    return () => shown; };
  const tell = fps => event => {
    state = JSON.parse(event.data);
    if (!fps()) return say('Connected. The first picture is on its way.');
    const late = state.late > 0.1 ? ' Pictures are late: this machine is busy.' : '';
    const step = {2: 'second', 3: 'third', 4: 'fourth', 6: 'sixth'}[state.stride];
    const busy = late || (step ? ` This machine makes every ${step} picture in time.` : '');
    const films = state.films ? ' Recording.' : '';
    say(`Live: ${state.delay.toFixed(2)} s behind, ${fps()} pictures a second.${films}${busy}`); };
  const connect = async given => {
    if (peer || !given?.token) return;
    ticket = given;
    try {
      say(ticket.microphone ? 'Waiting for the microphone' : 'Connecting');
      if (ticket.microphone) stream = await listen();
      peer = new RTCPeerConnection({iceServers: ticket.ice});
      const both = new MediaStream();
      if (stream) stream.getAudioTracks().forEach(track => peer.addTrack(track, stream));
      else peer.addTransceiver('audio', {direction: 'recvonly'});
      peer.addTransceiver('video', {direction: 'recvonly'});
      peer.ontrack = event => {
        both.addTrack(event.track);
        if ('jitterBufferTarget' in event.receiver) event.receiver.jitterBufferTarget = 0; };
      channel = peer.createDataChannel('state');
      video().muted = ticket.microphone;  // else one hears oneself later
      video().srcObject = both;
      const fps = count();
      channel.onopen = () => timers.push(setInterval(() => channel?.readyState == 'open' && channel.send('state'), 1000));
      channel.onmessage = tell(fps);
      channel.onclose = () => stop('The server has ended the live portrait. Click Go live again.', true);
      peer.onconnectionstatechange = () => {
        if (peer?.connectionState == 'failed') stop('No connection. This network may need a relay.', true); };
      await peer.setLocalDescription(await peer.createOffer());
      await gathered();
      say('Connecting');
      const {sdp, type} = peer.localDescription, {token, microphone} = ticket;
      const body = JSON.stringify({token, microphone, sdp, type});
      const answer = await (await fetch(address(), {method: 'POST', body})).json();
      if (answer.problem) throw answer.problem;
      await peer.setRemoteDescription(answer);
      video().play().catch(() => 0);
    } catch (error) { stop(typeof error == 'string' ? error : `No connection (${error.message}).`, true); } };
  addEventListener('pagehide', free);
  const pose = () => {  // before a visit the tab shows the photo
    const photo = document.querySelector('#photo img');
    if (photo && video() && !peer && ![photo.src, 'data:'].some(start => video().poster.startsWith(start)))
      video().poster = photo.src; };
  const watch = {subtree: true, childList: true, attributes: true, attributeFilter: ['src']};
  new MutationObserver(pose).observe(document.body, watch);  // the tab's video comes when it is first opened
  pose();
  window.atldiffLive = {connect, stop, speaking: () => Boolean(state.speaking)};
}
