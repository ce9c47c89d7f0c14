import type { Random } from '../../runtime.ts';

const ADJECTIVES =
  'admiring adoring agitated amazing angry awesome bold brave busy charming clever cool compassionate confident cranky dazzling determined eager ecstatic elastic elated elegant epic fervent festive flamboyant focused friendly gallant gifted goofy gracious great happy hardcore heuristic hopeful hungry infallible inspiring jolly jovial keen kind laughing loving lucid magical modest mystifying nice nifty nostalgic objective optimistic peaceful pedantic pensive practical priceless quirky quizzical recursing relaxed reverent romantic sad serene sharp silly sleepy stoic strange sweet tender thirsty trusting unruffled upbeat vibrant vigilant vigorous wizardly wonderful xenodochial youthful zealous zen'.split(
    ' ',
  );

const SCIENTISTS =
  'agnesi allen archimedes babbage banach bardeen bartik bassi bell bohr booth borg bose brahmagupta carson cerf chandrasekhar cray curie darwin davinci dijkstra easley edison einstein elion engelbart euclid euler faraday fermat fermi feynman franklin galileo galois gauss germain goldberg goodall hamilton hawking heisenberg hertz hodgkin hopper hypatia jackson johnson kalam kare keller kepler khorana kilby knuth kowalevski lalande lamarr lamport leakey leavitt liskov lovelace lumiere maxwell mayer mccarthy mcclintock meitner mendel mendeleev mirzakhani morse napier nash newton nightingale nobel noether pascal pasteur payne perlman pike planck poincare ptolemy raman ramanujan ride ritchie rosalind saha sammet shannon shockley sinoussi stonebraker swartz tesla thompson torvalds turing varahamihira visvesvaraya volhard wilson wing wozniak wright yalow yonath'.split(
    ' ',
  );

/** A name for a container that was given none: an adjective and a scientist, with a digit after the fifth vain try. */
export function randomName(random: Random, isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const adjective = ADJECTIVES[random.int(0, ADJECTIVES.length - 1)]!;
    const scientist = SCIENTISTS[random.int(0, SCIENTISTS.length - 1)]!;
    const name = `${adjective}_${scientist}${attempt < 5 ? '' : random.int(0, 9)}`;
    // Steve Wozniak is not boring, says Docker.
    if (name !== 'boring_wozniak' && !isTaken(name)) return name;
  }
}
