namespace Gradus.Training.Stages;

/// <summary>Training cannot go on from here, and would come here again: the job fails with the message, which says what to change.</summary>
public sealed class TrainingDivergedException(string message) : Exception(message);
