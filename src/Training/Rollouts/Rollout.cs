using System.Text.Json;
using Gradus.Training.Rewards;
using Gradus.Training.Text;

namespace Gradus.Training.Rollouts;

/// <summary>One sampled completion.</summary>
/// <param name="Tokens">The end token included.</param>
/// <param name="LogProbs">Of each token when it was sampled: of logits / temperature, before the filters.</param>
/// <param name="Text">Without special tokens; it begins with what the prompt opened.</param>
internal sealed record Rollout(int[] Tokens, float[] LogProbs, string Text, string FinishReason, RubricScore Score);

/// <summary>The rollouts of one prompt.</summary>
internal sealed record RolloutGroup(JsonElement Row, EncodedPrompt Prompt, IReadOnlyList<Rollout> Rollouts);
