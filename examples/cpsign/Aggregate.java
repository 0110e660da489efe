import com.arosbio.cheminf.ChemCPClassifier;
import com.arosbio.cheminf.io.ModelSerializer;
import com.arosbio.ml.cp.acp.ACPClassifier;
import java.io.File;

/** Puts the splits of an aggregated conformal classifier, each of which Train has trained, into one model. */
final class Aggregate {
    private Aggregate() {}

    /**
     * Reads the splits' models, writes one with all of them.
     *
     * @param arguments the model to write, then those to read
     */
    public static void main(String[] arguments) throws Exception {
        ChemCPClassifier model = load(arguments[1]);
        ACPClassifier all = (ACPClassifier) model.getPredictor();
        for (int number = 2; number < arguments.length; number++) {
            ((ACPClassifier) load(arguments[number]).getPredictor())
                    .getPredictors()
                    .forEach((split, predictor) -> all.addICP(predictor, split));
        }
        ModelSerializer.saveModel(model, new File(arguments[0]), null);
        System.out.printf("%d of %d splits aggregated%n",
                all.getNumTrainedPredictors(), all.getStrategy().getNumSamples());
        if (!all.isTrained()) {
            throw new IllegalStateException("the model lacks a split");
        }
    }

    private static ChemCPClassifier load(String file) throws Exception {
        return (ChemCPClassifier) ModelSerializer.loadChemPredictor(new File(file).toURI(), null);
    }
}
